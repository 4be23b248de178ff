"""Where the kernels of pixels may be asked for."""

import pytest

from hybridonn.core.errors import SpecError
from hybridonn.spec import read_spec

PIXELS = "tangent.contraction=pixels"
SEGMENTATION = (
    *("task=segmentation", "data.name=dsb2018"),
    "student={name: polychromatic_segmentation}",
)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            (f"distillation.{PIXELS}",),
            "one answer for an image; .* segmentation",
        ),
        ((f"compensation.distillation.{PIXELS}",), "kernels of captured images; set it to outputs"),
        (
            (*SEGMENTATION, f"distillation.{PIXELS}", "distillation.tangent.images=999"),
            "64 of 999 images make kernels of 63936 x 63936 samples",
        ),
    ],
)
def test_pixels_are_refused_where_there_are_none(settings, sentence):
    with pytest.raises(SpecError, match=sentence):
        read_spec(None, settings)


def test_a_segmentation_takes_them():
    tangent = read_spec(None, (*SEGMENTATION, f"distillation.{PIXELS}")).distillation.tangent
    assert (tangent.taught_by, tangent.count_compared(32)) == ("last", 8)
