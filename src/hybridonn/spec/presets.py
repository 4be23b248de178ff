"""Errors of whole fabrication processes by name: a plain table."""

from __future__ import annotations

from typing import Any

# A process that writes with electrons and etches silicon nitride 750 nm deep, behind laser-line
# filters of 10 nm. All magnitudes are assumed: none was measured on such pillars.
ELECTRON_BEAM: dict[str, Any] = {
    "width_bias_nm": 3.0,
    "width_noise_nm": 2.0,
    "etch_depth_fraction": 0.005,
    "coupling_fraction": 0.05,
    "stitching_nm": 20.0,
    "wavelength_offset_nm": 1.0,
    "bandwidth_nm": 10.0,
    "defocus_um": 10.0,
    "stray_light": True,
    "camera": True,
}
# Calibrated, not measured: in fixed proportions, scaled until the mean uncompensated drop of
# simulated MNIST chips is near the 8 points of Xiang et al. 2025, which states no magnitudes.
PAPER_MNIST: dict[str, Any] = {
    "kernel_noise_fraction": 0.2,
    "brightness_fraction": 0.075,
    "shift_pixels": 0.24,
    "rotation_degrees": 1.0,
    "defocus_pixels": 0.4,
    "crosstalk_fraction": 0.04,
    "camera": True,
}
# A poor chip, to see how far compensation reaches: twice the errors (the noise of its kernels two
# and a half times), which leave a third of MNIST's digits.
POOR_MNIST: dict[str, Any] = {
    "kernel_noise_fraction": 0.5,
    "brightness_fraction": 0.15,
    "shift_pixels": 0.5,
    "rotation_degrees": 2.0,
    "defocus_pixels": 0.8,
    "crosstalk_fraction": 0.08,
    "camera": True,
}
# The proportions of PAPER_MNIST for the 28 points of CIFAR-10: kernels of three colours bear less.
CIFAR10_SCALE = 0.375
PAPER_CIFAR10: dict[str, Any] = {
    name: value if value is True else round(CIFAR10_SCALE * value, 6)
    for name, value in PAPER_MNIST.items()
}
# The proportions of PAPER_MNIST for the 30 to 42 points of mIoU that segmentation loses: nuclei of
# DSB2018 bear more than digits, since a boundary seen through a wrong kernel is still a boundary.
SEGMENTATION_SCALE = 3.0
PAPER_SEGMENTATION: dict[str, Any] = {
    name: value if value is True else round(SEGMENTATION_SCALE * value, 6)
    for name, value in PAPER_MNIST.items()
}
# A modulator of phase and amplitude in a 4f system lined up by hand. Calibrated, not measured: in
# fixed proportions, scaled until two simulated chips of a briefly trained system (94.0 % of MNIST)
# read 83 %.
FOUR_F_MNIST: dict[str, Any] = {
    "mask_phase_levels": 256,
    "mask_amplitude_levels": 256,
    "mask_flatness_radians": 1.0,
    "mask_phase_radians": 0.4,
    "mask_amplitude_fraction": 0.1,
    "mask_gap_fraction": 0.08,
    "mask_shift_um": 16.0,
    "mask_rotation_degrees": 1.0,
    "mask_scale_fraction": 0.01,
    "focal_length_fraction": 0.01,
    "lens_defocus_waves": 0.1,
    "lens_astigmatism_waves": 0.06,
    "lens_coma_waves": 0.06,
    "lens_spherical_waves": 0.04,
    "source_mrad": 0.04,
    "wavelength_offset_nm": 1.0,
    "bandwidth_nm": 2.0,
    "brightness_fraction": 0.1,
    "shift_pixels": 0.4,
    "camera": True,
}
# On a metasurface the pillars' errors stand in for those of kernels alone.
PRESETS: dict[str, dict[str, Any]] = {
    "paper-mnist": ELECTRON_BEAM | PAPER_MNIST,
    "poor-mnist": ELECTRON_BEAM | POOR_MNIST,
    "paper-cifar10": ELECTRON_BEAM | PAPER_CIFAR10,
    "paper-segmentation": ELECTRON_BEAM | PAPER_SEGMENTATION,
    "electron-beam": ELECTRON_BEAM,
    "four-f-mnist": FOUR_F_MNIST,
}
