"""Robust training: what a spec must state for it, and what it cannot be combined with."""

import pytest

from hybridonn.core.errors import SpecError
from hybridonn.spec import read_spec
from hybridonn.spec.tree import validate

ROBUST = "distillation.robust=true"
PRESET = "fabrication.preset=paper-mnist"


def test_it_is_off_unless_asked_for():
    assert read_spec(None, (PRESET,)).distillation.robust is False
    assert read_spec(None, (PRESET, ROBUST)).distillation.robust is True


@pytest.mark.parametrize("method", ["none", "kd", "ntkd"])
def test_every_method_is_as_robust_as_the_spec_says(method):
    assert read_spec(None, (PRESET, ROBUST)).for_method(method).distillation.robust


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ((ROBUST,), "fabrication is not set, .* set fabrication.preset to paper-mnist"),
        ((ROBUST, "fabrication={}"), "no error of kernels .* kernel_noise_fraction, "),
        (
            (ROBUST, "fabrication={camera: true, seed: 3}"),
            "no error of kernels .* shift_pixels.* or leave robust out",
        ),
        (
            (ROBUST, PRESET, "optics.metasurface={}", "optics.strategy=end-to-end"),
            "strategy is end-to-end, .* set optics.strategy to kernels-first",
        ),
        (
            (PRESET, "compensation.distillation.robust=true"),
            "compensation.distillation.robust is true, .* leave it out there",
        ),
        (
            (ROBUST, "fabrication={camera: true}", "optics.frontend=four_f"),
            "no error of masks, lenses or light .* set one of .*mask_phase_radians, ",
        ),
        (("distillation.robust=7",), "distillation.robust is 7: "),
        (("distillation.robost=true",), "did you mean distillation.robust?"),
    ],
)
def test_what_would_have_no_effect_is_refused(settings, sentence):
    with pytest.raises(SpecError, match=sentence):
        read_spec(None, settings)


def test_a_fault_of_the_whole_spec_names_its_file_once():
    with pytest.raises(SpecError) as caught:
        validate({"distillation": {"robust": True}}, "mine.yaml")
    assert str(caught.value).startswith("mine.yaml: distillation.robust is true, ")
