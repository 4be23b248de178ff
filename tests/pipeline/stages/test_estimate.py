"""Stage ``estimate``: what it leaves, and what it refuses."""

import pytest

from hybridonn.core.errors import SpecError
from hybridonn.core.progress import Silent
from hybridonn.data import load_dataset
from hybridonn.estimation.lens import estimate_lens
from hybridonn.networks.backends.build import find_built_in
from hybridonn.pipeline.stage import complete
from hybridonn.pipeline.stages.estimate import (
    ESTIMATE,
    gather_inputs,
    name_estimator,
    refuse_unestimated,
)
from hybridonn.spec import read_spec
from hybridonn.tangent.infinite import DEFAULT_FEATURES

LENS = ("optics.frontend=lens", "student.kernels=1")
SMALL = ("data.train_images=200", "estimate.test_images=100", "estimate.draws=1")


@pytest.fixture
def estimated(tmp_path, monkeypatch):
    monkeypatch.setenv("HYBRIDONN_CACHE", str(tmp_path / "cache"))

    def estimated(*settings):
        spec = read_spec(None, (*SMALL, *settings))
        folder = tmp_path / "run" / "estimate"
        return complete(ESTIMATE, spec, load_dataset(spec.data), {}, folder, Silent())

    return estimated


@pytest.mark.parametrize("kernels", ["design", "infinite"])
def test_it_leaves_numbers_and_nothing_else(estimated, kernels):
    stage = estimated(f"estimate.kernels={kernels}")
    found = sorted(path.name for path in stage.folder.iterdir())
    assert found == ["learning_curve.csv", "scores.npz", "stage.json"]
    assert 0.85 < stage.results["accuracy"] < 1
    assert 0 < stage.results["uncertainty"] < 0.1
    assert (stage.results["train_images"], stage.results["test_images"]) == (200, 100)
    assert stage.results["kernels"] == kernels


def test_maximum_pooling_at_infinite_width_is_said_to_be_replaced(estimated):
    stage = estimated("estimate.kernels=infinite", "student.pooling=max")
    assert "average in place of maximum" in stage.results["method"]


def test_a_design_that_does_not_fit_is_refused_in_the_specs_words(estimated):
    with pytest.raises(SpecError, match=r"student\.pooled_size is 9"):
        estimated("student.pooled_size=9")


def test_infinitely_many_kernels_are_refused_for_masks():
    settings = (
        "task=segmentation",
        "data.name=dsb2018",
        "student.backend=upsampling",
        "estimate.kernels=infinite",
    )
    spec = read_spec(None, settings)
    with pytest.raises(SpecError, match=r"task: segmentation takes estimate\.kernels: design"):
        refuse_unestimated(spec)


def test_the_spec_s_features_are_those_that_were_measured_best():
    assert read_spec(None).estimate.features == DEFAULT_FEATURES


def test_a_plain_lens_is_estimated_as_the_backend_behind_the_image(estimated, tmp_path):
    stage = estimated(*LENS, "student.pooling=max")
    spec = read_spec(None, (*SMALL, *LENS))
    alone = estimate_lens(gather_inputs(spec, load_dataset(spec.data), tmp_path, Silent()))
    assert ESTIMATE.wanted(spec)
    assert stage.results["accuracy"] == alone.accuracy
    assert stage.results["kernels"] == "lens"
    assert stage.results["method"] == f"{alone.method}; average in place of maximum pooling"


@pytest.mark.parametrize("kernels", ["design", "infinite"])
def test_what_kernels_are_drawn_says_nothing_of_a_lens(kernels):
    spec = read_spec(None, (*LENS, f"estimate.kernels={kernels}"))
    refuse_unestimated(spec)
    assert name_estimator(spec).estimate.kernels == "lens"


def test_masks_behind_a_lens_have_no_estimate():
    settings = ("task=segmentation", "data.name=dsb2018", "student.backend=upsampling")
    spec = read_spec(None, (*settings, "optics.frontend=lens", "student.kernels=3"))
    assert not ESTIMATE.wanted(spec)
    with pytest.raises(SpecError, match="frontend: lens has no estimate for task: segmentation"):
        refuse_unestimated(spec)


def test_measured_optics_have_no_estimate_of_drawn_kernels():
    psfs = f"optics.measured={{psfs: {__file__}, pixels_per_scene_pixel: 2}}"
    spec = read_spec(None, ("optics.frontend=measured", psfs))
    assert not ESTIMATE.wanted(spec)
    with pytest.raises(SpecError, match="frontend: measured has no estimate, which is made of ker"):
        refuse_unestimated(spec)


def test_a_backend_that_tells_nothing_of_its_wide_network_has_no_estimate(monkeypatch):
    spec = read_spec(None)
    assert ESTIMATE.wanted(spec)
    monkeypatch.setattr(find_built_in("dense"), "wide_layers", lambda student: None)
    assert not ESTIMATE.wanted(spec)
    with pytest.raises(SpecError, match="backend: dense has no estimate: its wide network"):
        refuse_unestimated(spec)
