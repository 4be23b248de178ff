"""The whole job with a 4f system in place of ideal optics."""

import pytest

from hybridonn.core.errors import SpecError
from hybridonn.pipeline.run import run
from hybridonn.spec import read_spec

SHORT = (
    "optics.frontend=four_f",
    "optics.four_f={mask_pixels: 15, mask_pitch_um: 30}",
    "student.kernels=3",
    "data.train_images=150",
    "estimate.train_images=60",
    "estimate.test_images=30",
    "estimate.draws=1",
    "teacher.training.epochs=1",
    "training.epochs=2",
)
CHIP = (
    "fabrication={preset: four-f-mnist, mask_gap_fraction: 0.02}",
    "compensation={fraction: 0.3, methods: [none, kd, ntkd], twin_fraction: 0.3}",
    "compensation.training.epochs=1",
)


@pytest.mark.filterwarnings("ignore:no rule accounts for")
def test_a_4f_system_runs_from_the_same_command(tmp_path):
    found = run(read_spec(None, (*SHORT, *CHIP)), tmp_path / "run")
    assert found["student"]["accuracy"] > 0.15  # ten classes, two epochs
    # Two masks of 15 x 15 complex pixels and a gain for each kernel.
    assert found["student"]["parameters"]["optical"] == 3 * (2 * 15 * 15 * 2 + 1)
    assert (tmp_path / "run" / "report.html").is_file()
    assert found["fabricated"]["kernel_error"] > 0.1
    treated = {"uncompensated", "calibrated", "none", "kd", "ntkd"}
    assert {f"{name}_accuracy" for name in treated} <= set(found["compensated"])
    assert found["compensated"]["uncompensated_accuracy"] == found["fabricated"]["accuracy"]


@pytest.mark.parametrize("key", ["kernel_noise_fraction", "crosstalk_fraction", "width_noise_nm"])
def test_errors_of_other_optics_are_refused_before_anything_is_trained(key, tmp_path):
    spec = read_spec(None, (*SHORT, f"fabrication.{key}=0.1"))
    with pytest.raises(SpecError, match=rf"fabrication.{key} is 0.1, but .*mask_phase_radians"):
        run(spec, tmp_path / "run")
    assert not (tmp_path / "run" / "teacher").exists()


def test_wavelengths_must_be_one_a_channel(tmp_path):
    spec = read_spec(None, (*SHORT, "optics.wavelengths_nm=[635,532]"))
    with pytest.raises(SpecError, match="states 2 for images of 1 channels"):
        run(spec, tmp_path / "run")
