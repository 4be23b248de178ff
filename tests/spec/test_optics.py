"""Optics that contradict the rest of the spec are refused when it is read."""

import pytest

from hybridonn.core.errors import SpecError
from hybridonn.spec import dump_spec, read_spec

BRANCHED = (
    "task=segmentation",
    "data.name=dsb2018",
    "student={name: polychromatic_segmentation}",
)
CHIP = "fabrication.preset=paper-mnist"
MEASURED = "optics.measured={psfs: a.npy, pixels_per_scene_pixel: 1}"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            ("optics.frontend=four_f", "optics.metasurface={}"),
            [
                "optics.frontend is four_f, but optics.metasurface is set",
                "leave optics.metasurface",
            ],
        ),
        (
            (*BRANCHED, "optics.frontend=four_f"),
            ["optics.frontend is four_f, but the student has 3 branches", "leave student.branches"],
        ),
        (
            ("optics.strategy=end-to-end",),
            ["optics.metasurface is not set", "set optics.metasurface to {}"],
        ),
        (("optics.metasurface.grid_nm=1.5",), ["grid_nm is 1.5", "multiple of 1"]),
        (
            ("optics.metasurface.min_transmittance=1",),
            ["min_transmittance is 1", "a number below 1"],
        ),
    ],
)
def test_what_contradicts_itself_is_refused(settings, words):
    with pytest.raises(SpecError) as caught:
        read_spec(None, settings)
    for word in words:
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_chip_of_several_branches_can_be_stated():
    assert read_spec(None, (*BRANCHED, CHIP)).fabrication is not None


def test_a_metasurface_is_laid_over_a_spec_that_takes_one():
    spec = read_spec(None).with_metasurface()
    assert spec.optics.metasurface is not None
    assert spec == read_spec(None, ("optics.metasurface={}",))
    with pytest.raises(SpecError, match=r"digits with a metasurface: .*four_f"):
        read_spec(None, ("optics.frontend=four_f",)).with_metasurface()


def test_branches_take_a_metasurface():
    assert read_spec(None, BRANCHED).with_metasurface().optics.metasurface is not None


def test_measured_optics_are_found_beside_their_spec(tmp_path):
    path = tmp_path / "mine.yaml"
    section = "{frontend: measured, measured: {psfs: sub/a.tif, pixels_per_scene_pixel: 4}}"
    path.write_text(f"optics: {section}\nstudent: {{kernels: 1}}\n")
    found = read_spec(path)
    assert found.optics.measured.psfs == tmp_path / "sub" / "a.tif"
    (tmp_path / "copy.yaml").write_text(dump_spec(found))
    assert read_spec(tmp_path / "copy.yaml").optics == found.optics


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("optics.frontend=measured",), "is measured, but optics.measured is not set; the two go"),
        ((MEASURED,), "optics.frontend is ideal, but optics.measured is set; the two go together"),
        (
            (MEASURED, "optics.frontend=measured", "optics.metasurface={}"),
            "optics.frontend is measured, but optics.metasurface is set",
        ),
        (
            (MEASURED, "optics.frontend=measured", "optics.strategy=end-to-end"),
            "optics.strategy is end-to-end, but optics.metasurface is not set",
        ),
        (
            (
                MEASURED,
                "optics.frontend=measured",
                "distillation.robust=true",
                "fabrication.preset=paper-mnist",
            ),
            "robust is true, but optics.frontend is measured, whose kernels do not train",
        ),
        (
            ("optics.measured={psfs: a.npy}",),
            r"pixels_per_scene_pixel is missing and has no default; state it: \w",
        ),
        (
            ("optics.measured={psfs: a.npy, pixels_per_scene_pixel: 0}",),
            "optics.measured.pixels_per_scene_pixel",
        ),
    ],
)
def test_what_measured_optics_cannot_have_is_refused(settings, message):
    with pytest.raises(SpecError, match=message):
        read_spec(None, settings)
