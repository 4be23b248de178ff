"""The main job of segmentation, on drawn masks and on the real examples at a small size."""

from pathlib import Path

import pytest
from tests.pipeline.discs import draw_discs

from hybridonn.core.files import read_arrays, read_tensors
from hybridonn.pipeline.result_keys import list_undescribed
from hybridonn.pipeline.run import run
from hybridonn.spec import read_spec

ROOT = Path(__file__).parents[2]
QUICK = (
    "teacher.arguments={width: 4, depth: 2}",
    "teacher.training.epochs=2",
    "training.epochs=2",
    "training.views=2",
    "estimate.draws=1",
)


@pytest.fixture
def discs(tmp_path, monkeypatch):
    """Bright discs on dark ground, and their masks, in a folder."""
    monkeypatch.setenv("HYBRIDONN_CACHE", str(tmp_path / "cache"))
    return draw_discs(tmp_path / "discs")


@pytest.mark.parametrize("name", ["dsb2018", "dsb2018_extreme"])
@pytest.mark.parametrize("views", ["2", "null"], ids=["stored", "live"])
def test_the_whole_job_on_discs(discs, tmp_path, name, views):
    spec = read_spec(
        ROOT / "examples" / f"{name}.yaml",
        (
            "data.name=mask_folder",
            f"data.folder={discs}",
            "data.size_pixels=16",
            *QUICK,
            f"training.views={views}",
            f"distillation.tangent.contraction={'pixels' if name == 'dsb2018' else 'outputs'}",
            "training.augmentation.crop_pixels=2",
            "teacher.training.augmentation.crop_pixels=2",
        ),
    )
    results = run(spec, tmp_path / "run")
    assert list_undescribed(results) == []
    assert 0 < results["teacher"]["miou"] <= 1
    assert 0 < results["student"]["miou_pixels"] <= 1
    margin = results["teacher"]["miou"] - results["baseline"]["miou"]
    assert results["baseline"]["teacher_margin"] == pytest.approx(margin)
    assert 0 < results["estimate"]["miou"] <= 1
    assert "mIoU" in (tmp_path / "run" / "report.html").read_text()
    answers = read_arrays(tmp_path / "run" / "student" / "predictions.npz")
    assert answers["predicted"].shape == answers["labels"].shape == (8, 16, 16)
    pictures = read_arrays(tmp_path / "run" / "student" / "examples.npz")["features"]
    assert pictures.shape == (6, 56, 16, 16)
    stored = read_tensors(tmp_path / "run" / "teacher_targets" / "teacher_targets.safetensors")[0]
    assert ("table" in stored) == (views == "2")


def test_a_teacher_with_weights_is_not_trained(tmp_path, monkeypatch):
    monkeypatch.setenv("HYBRIDONN_CACHE", str(tmp_path / "cache"))
    quick = ("teacher.training.epochs=2", "training.epochs=1")
    first = run(read_spec(None, quick), tmp_path / "first")
    weights = tmp_path / "first" / "teacher" / "weights.safetensors"
    second = run(read_spec(None, (*quick, f"teacher.weights={weights}")), tmp_path / "second")
    assert second["teacher"]["epochs"] == 0
    assert second["teacher"]["accuracy"] == first["teacher"]["accuracy"]
    assert second["student"]["accuracy"] == first["student"]["accuracy"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dsb2018", "dsb2018_extreme"])
def test_the_dsb_examples_at_a_small_size(unpacked_data_root, tmp_path, monkeypatch, name):
    monkeypatch.setenv("HYBRIDONN_CACHE", str(tmp_path / "cache"))
    small = ("data.size_pixels=32", "data.train_images=64", *QUICK, "training.views=1")
    spec = read_spec(ROOT / "examples" / f"{name}.yaml", small)
    results = run(spec, tmp_path / "run", unpacked_data_root)
    assert results["student"]["parameters"]["optical"] == 1512
    assert results["student"]["miou"] > 0.3


@pytest.mark.slow
def test_the_cifar_example_at_a_small_size(unpacked_data_root, tmp_path, monkeypatch):
    monkeypatch.setenv("HYBRIDONN_CACHE", str(tmp_path / "cache"))
    small = (
        "data.train_images=500",
        "teacher.arguments={widths: [4, 4, 4]}",
        "teacher.training.epochs=1",
        "teacher.training.augmentation={}",
        "training.epochs=1",
        "training.views=2",
        "estimate.train_images=200",
        "estimate.test_images=200",
        "estimate.draws=1",
    )
    results = run(
        read_spec(ROOT / "examples" / "cifar10.yaml", small), tmp_path / "run", unpacked_data_root
    )
    assert results["student"]["parameters"]["optical"] == 2352
    assert results["student"]["accuracy"] > 0.1
