"""What a process states, and which of its errors act on which design."""

import pytest

from hybridonn.core.errors import SpecError
from hybridonn.optics.fabrication.table import DESIGNS, list_keys
from hybridonn.spec import Fabrication
from hybridonn.spec.fabrication import ERRORS
from hybridonn.spec.presets import PRESETS

KERNELS_ONLY = list_keys("kernels")
PILLARS_ONLY = (*list_keys("pillars"), "wavelength_offset_nm", "bandwidth_nm")


def test_every_error_is_off_by_default_and_listed_once():
    fields = set(Fabrication.model_fields) - {"preset", "seed", "stitch_field_um"}
    assert fields == set(ERRORS)
    assert len(ERRORS) == len(fields)
    assert not any(getattr(Fabrication(), name) for name in ERRORS)


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_fills_in_what_acts_on_the_design(preset):
    stated = Fabrication.model_validate({"preset": preset})
    assert Fabrication.model_validate(stated.model_dump()) == stated
    kernels, pillars, bench = (stated.on(design) for design in DESIGNS)
    assert not any(getattr(bench, name) for name in (*KERNELS_ONLY, *list_keys("pillars")))
    assert bench.camera
    assert not any(getattr(kernels, name) for name in PILLARS_ONLY)
    assert not any(getattr(pillars, name) for name in KERNELS_ONLY)
    of_masks = preset.startswith("four-f")
    assert all(getattr(pillars, name) for name in PILLARS_ONLY) != of_masks
    assert (
        all(getattr(bench, name) for name in list_keys("mask", "lens", "light", "source"))
        == of_masks
    )
    assert kernels.camera
    assert pillars.camera
    assert kernels.on("kernels") == kernels


@pytest.mark.parametrize("name", PILLARS_ONLY)
def test_pillar_errors_without_pillars_are_refused(name):
    value = True if name == "stray_light" else 0.25
    with pytest.raises(SpecError, match=f"fabrication.{name} is .* has no metasurface"):
        Fabrication.model_validate({name: value}).on("kernels")
    assert Fabrication.model_validate({name: value}).on(
        "metasurface"
    ) == Fabrication.model_validate({name: value})


@pytest.mark.parametrize("name", KERNELS_ONLY)
def test_kernel_errors_on_a_metasurface_are_refused(name):
    with pytest.raises(SpecError, match=f"fabrication.{name} is 0.3, but on a metasurface"):
        Fabrication.model_validate({name: 0.3}).on("metasurface")
    with pytest.raises(SpecError, match=f"fabrication.{name} is 0.3"):
        Fabrication.model_validate({"preset": "paper-mnist", name: 0.3}).on("metasurface")


@pytest.mark.parametrize("preset", ["paper-cifar10", "paper-segmentation"])
def test_presets_of_other_tasks_have_the_proportions_of_paper_mnist(preset):
    mnist, other = (
        Fabrication.model_validate({"preset": name}).on("kernels")
        for name in ("paper-mnist", preset)
    )
    ratios = {
        round(getattr(other, name) / getattr(mnist, name), 4)
        for name in ERRORS
        if getattr(mnist, name) and name != "camera"
    }
    assert len(ratios) == 1


def test_a_poor_chip_has_every_error_of_paper_mnist_and_more_of_it():
    paper, poor = (
        Fabrication.model_validate({"preset": name}).on("kernels")
        for name in ("paper-mnist", "poor-mnist")
    )
    for name in ERRORS:
        once = getattr(paper, name)
        if once and name != "camera":
            assert 2 <= getattr(poor, name) / once <= 2.5
    assert poor.camera


@pytest.mark.parametrize("name", list_keys("mask", "lens", "source"))
@pytest.mark.parametrize("design", ["kernels", "metasurface"])
def test_errors_of_masks_and_lenses_without_them_are_refused(name, design):
    errors = Fabrication.model_validate({name: 2 if name.endswith("levels") else 0.25})
    with pytest.raises(SpecError, match=f"fabrication.{name} is .*frontend to four_f, or leave"):
        errors.on(design)
    assert errors.on("four_f") == errors


@pytest.mark.parametrize("name", ["crosstalk_fraction", "rotation_degrees"])
def test_errors_of_sub_optics_side_by_side_are_refused_of_a_4f_system(name):
    with pytest.raises(SpecError, match=f"fabrication.{name} is 0.3, but the masks of a 4f system"):
        Fabrication.model_validate({name: 0.3}).on("four_f")
