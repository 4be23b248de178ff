"""From a run to the compensation on rehearsed captures, beside that of the same chip directly."""

import math

import pytest

from hybridonn.compensation.acquisition.camera_view import CameraView
from hybridonn.compensation.acquisition.placement import Camera
from hybridonn.compensation.acquisition.simulated_camera import SimulatedCamera
from hybridonn.core.progress import Silent
from hybridonn.pipeline.captures import ImportOptions, import_into
from hybridonn.pipeline.compensate import compensate_captures
from hybridonn.pipeline.result_keys import list_undescribed
from hybridonn.pipeline.run import run
from hybridonn.pipeline.simulated_captures import Rehearsal, simulate_captures
from hybridonn.spec import read_spec

PIXEL_M, TEST_IMAGES = 5.86e-6, 359
SHORT = (
    "student.kernels=3",
    "student.kernel_size=5",
    "data.train_images=200",
    "estimate.train_images=60",
    "estimate.test_images=30",
    "estimate.draws=1",
    "teacher.training.epochs=1",
    "training.epochs=6",
    "compensation={fraction: 0.5, methods: [none], judged_fraction: 0, training: {epochs: 2}}",
    "compensation.distillation.method=none",
)
FOUR_F = (
    "optics.frontend=four_f",
    "optics.four_f={mask_pixels: 15, mask_pitch_um: 30}",
    "fabrication={mask_phase_radians: 0.2, mask_amplitude_fraction: 0.1, brightness_fraction: 0.2}",
)


@pytest.mark.filterwarnings("ignore:no rule accounts for")
@pytest.mark.parametrize("optics", [("fabrication.preset=paper-mnist",), FOUR_F])
def test_rehearsed_captures_win_back_what_the_simulated_chip_does(tmp_path, optics):
    spec = read_spec(None, (*SHORT, *optics))
    home = tmp_path / "run"
    results = run(spec, home)
    direct = results["compensated"]
    assert list_undescribed(results) == []
    view = CameraView(2.0, PIXEL_M, (1.3, -0.8), 0.7, 1.01)
    wanted = Rehearsal(view, SimulatedCamera(), fraction=0.5, test_images=TEST_IMAGES)
    simulate_captures(home, tmp_path / "captured", wanted)
    taken = ImportOptions(tmp_path / "captured", camera=Camera(2.0, PIXEL_M))
    import_into(home, taken, tmp_path / "captures")
    found = compensate_captures(spec, home, tmp_path / "captures", None, Silent(), 1.0)
    assert list_undescribed({"compensated": found}) == []
    assert found["source"] == "captures"
    share = direct["calibrated_accuracy"]
    chance = 2.6 * math.sqrt(2 * share * (1 - share) / TEST_IMAGES)
    for treated in ("calibrated", "none"):
        name = f"{treated}_accuracy"
        assert found[name] == pytest.approx(direct[name], abs=chance)
    # What the camera adds is small beside what the chip costs and calibration wins back.
    assert found["uncompensated_accuracy"] == pytest.approx(
        direct["uncompensated_accuracy"], abs=2 * chance
    )
