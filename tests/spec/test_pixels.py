"""Where the kernels of pixels, and methods that compare places, may be asked for."""

import pytest

from hybridonn.core.errors import SpecError
from hybridonn.spec import Distillation, Spec, Training, read_spec

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
            "one answer for an image; pixels serve segmentation or detection",
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
    assert (tangent.teacher_layers, tangent.count_compared(32)) == ("last", 8)
    assert tangent.count_samples(32) == 8 * 64


def test_pixels_of_one_image_are_samples_enough_to_compare():
    read_spec(None, (*SEGMENTATION, "training.batch_size=1"))
    with pytest.raises(SpecError, match=r"at least 3 pixels, but training.batch_size is 1"):
        read_spec(None, (*SEGMENTATION, "training.batch_size=1", "distillation.tangent.pixels=2"))


@pytest.mark.parametrize(
    ("settings", "contraction"),
    [
        (SEGMENTATION, "pixels"),
        ((*SEGMENTATION, "distillation.tangent.contraction=outputs"), "outputs"),
        ((*SEGMENTATION, "distillation.tangent.layers=all"), None),
        ((*SEGMENTATION, "distillation.tangent.probes=2"), None),
        ((*SEGMENTATION, "teacher.name=my.module:build"), None),
        ((), None),
    ],
)
def test_what_answers_each_pixel_is_compared_by_pixels(settings, contraction):
    spec = read_spec(None, (*settings, "compensation={}"))
    assert spec.distillation.tangent.contraction == contraction
    assert spec.compensation.distillation.tangent.contraction is None  # captured images


def test_sections_given_by_code_are_completed_like_those_of_a_file():
    sections = dict(read_spec(None, SEGMENTATION)) | {"distillation": Distillation()}
    assert Spec(**sections).distillation.tangent.contraction == "pixels"
    trained = dict(read_spec(None)) | {"training": Training(device="cpu")}
    assert Spec(**trained).teacher.training.device == "cpu"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("distillation.method", "cwd"),
        ("compensation.distillation.method", "cwd"),
        ("compensation.methods", "[none, cwd]"),
    ],
)
def test_a_method_that_compares_places_is_refused_where_there_are_none(key, value):
    said = f"{key} is cwd, which compares where .* one answer for an image; .* none, kd or ntkd"
    with pytest.raises(SpecError, match=said):
        read_spec(None, (f"{key}={value}",))
    assert read_spec(None, (*SEGMENTATION, f"{key}={value}")).task == "segmentation"


def test_a_compensation_compares_the_methods_of_every_task():
    assert read_spec(None, ("compensation={}",)).compensation.methods == ("none", "kd", "ntkd")
