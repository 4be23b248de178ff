"""Optics that contradict the rest of the spec are refused when it is read."""

import pytest

from hybridonn.core.errors import SpecError
from hybridonn.spec import read_spec

BRANCHED = (
    "task=segmentation",
    "data.name=dsb2018",
    "student={name: polychromatic_segmentation}",
)
CHIP = "fabrication.preset=paper-mnist"


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
