"""The twin of a 4f system predicts images that its chip was never shown."""

import torch

from hybridonn.compensation import coherent_twin
from hybridonn.compensation.capture_pair import capture_images
from hybridonn.compensation.fine_tuning_data import fit_twin
from hybridonn.data.batches import to_scene
from hybridonn.data.dataset import ImageSet
from hybridonn.networks.frontends.four_f import FourFFrontend
from hybridonn.optics.fabrication.chip_errors import ChipErrors
from hybridonn.optics.sensor import Sensor
from hybridonn.optics.waves.four_f import FourFSystem

ERRORS = ChipErrors(
    1,
    {
        "mask_phase_radians": 0.5,
        "mask_shift_m": 20e-6,
        "mask_rotation_radians": 0.02,
        "mask_scale_fraction": 0.02,
        "focal_length_fraction": 0.02,
        "lens_defocus_waves": 0.1,
        "mask_gap_fraction": 0.05,
        "shift_pixels": 0.3,
        "brightness_fraction": 0.1,
        "source_radians": 5e-5,
    },
)


def images(count, seed):
    """Blocks of light, (N, 1, 12, 12) uint8."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randint(0, 256, (count, 1, 6, 6), generator=generator, dtype=torch.uint8)
    dark = torch.rand(count, 1, 6, 6, generator=generator) < 0.5
    fine = coarse.masked_fill(dark, 0).repeat_interleave(2, -1).repeat_interleave(2, -2)
    return ImageSet(fine, torch.zeros(count, dtype=torch.long))


def test_it_predicts_the_pictures_of_new_images_and_their_noise(monkeypatch):
    monkeypatch.setattr(coherent_twin, "STEPS", 200)
    torch.manual_seed(0)
    system = FourFSystem((532e-9,), 0.1, 21, 20e-6, 96e-6)
    design = FourFFrontend(2, 5, system, (12, 12))
    chip, camera = design.fabricate(ERRORS), Sensor(32_500.0, 7.0, 8, 1.0, (1,))
    twin = fit_twin(capture_images(chip, images(200, 1), 0, camera), design)
    shown = images(100, 2)
    with torch.no_grad():
        predicted = twin.branches[0].pictures(to_scene(shown.images))
    (wanted,) = chip.capture(to_scene(shown.images))
    (designed,) = design.capture(to_scene(shown.images))
    spread = (wanted - wanted.mean((0, 3, 4), keepdim=True)).norm()
    assert float((designed - wanted).norm() / spread) > 0.3
    assert float((predicted - wanted).norm() / spread) < 0.05
    # The variance that it adds is that of the camera, and what little it cannot say.
    (noisy,) = capture_images(chip, shown, 3, camera).branches
    dark, light = twin.branches[0].noise[None, ..., None, None].unbind(3)
    stated = (dark + light * predicted.clamp_min(0)).mean()
    assert 0.8 < float(stated / (noisy - wanted).square().mean()) < 3


def test_a_perfect_chip_has_the_twin_of_the_design(monkeypatch):
    monkeypatch.setattr(coherent_twin, "STEPS", 60)
    torch.manual_seed(0)
    design = FourFFrontend(2, 3, FourFSystem((532e-9, 450e-9), 0.1, 15, 30e-6, 96e-6), (12, 12), 2)
    shown = ImageSet(images(60, 1).images.repeat(1, 2, 1, 1), torch.zeros(60, dtype=torch.long))
    captured = capture_images(design.fabricate(ChipErrors()), shown, 0)
    twin = fit_twin(captured, design)
    out = torch.empty(60, 2, 6, 6)
    twin.capture(shown, torch.ones(2, 2), 0, (out,))
    (wanted,) = captured.subtract(torch.ones(2, 2))
    assert float((out - wanted).norm() / wanted.norm()) < 0.1
