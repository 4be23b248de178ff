"""Answers of a deployed run to files."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from hybridonn.cli.app import app
from hybridonn.core.errors import DataError, DeploymentError
from hybridonn.data.readers.image_files import Target
from hybridonn.deployment.predictor import Answer, describe_answer
from hybridonn.networks.frontends.measured import MeasuredFrontend
from hybridonn.pipeline.loaded_run import load_run
from hybridonn.pipeline.predict import (
    System,
    list_files,
    open_system,
    predict_files,
    watch,
    write_mask,
)
from hybridonn.pipeline.weights import put_weights


@pytest.fixture(scope="module")
def system(deployed_digits: Path) -> System:
    return open_system(deployed_digits)


def draw(path: Path, seed: int = 0, size: tuple[int, ...] = (8, 8)) -> Path:
    pixels = np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def test_pictures_are_answered_as_by_the_last_optics_and_backend_in_torch(
    deployed_digits, system, tmp_path
):
    images = [np.asarray(Image.open(draw(tmp_path / f"{n}.png", n))) for n in range(5)]
    rows = list(predict_files(system, list_files([tmp_path]), None))
    network = load_run(deployed_digits).student()
    chip = np.load(deployed_digits / "fabricated" / "psf.npz")
    gains = np.load(deployed_digits / "compensated" / "gains.npz")["gains"]
    psfs, own, gains = (
        torch.from_numpy(one).float() for one in (chip["psf"], chip["gains"], gains)
    )
    network.frontend = MeasuredFrontend(psfs, own).with_gains(gains)
    put_weights(network.backend, deployed_digits / "compensated" / "backend.safetensors")
    with torch.no_grad():
        shares = network(torch.from_numpy(np.stack(images))[:, None] / 255).softmax(1)

    assert [row["label"] for row in rows] == [str(int(one)) for one in shares.argmax(1)]
    found = [row["confidence"] for row in rows]
    np.testing.assert_allclose(found, shares.amax(1).numpy(), atol=2e-6)


def test_captures_are_subtracted_by_the_gains(deployed_digits, system, tmp_path):
    optics = np.random.default_rng(0).random((4, 2, 8, 8)).astype(np.float32)
    np.savez(tmp_path / "one.npz", branch_0=optics)
    (row,) = predict_files(system, [tmp_path / "one.npz"], None)
    (again,) = predict_files(open_system(deployed_digits, int8=True), [tmp_path / "one.npz"], None)
    assert row["label"] == again["label"]
    assert row["confidence"] != again["confidence"]


def test_integers_are_refused_for_images(deployed_digits, tmp_path):
    """An image goes through optics and backend, of which there is no file in integers."""
    path = draw(tmp_path / "a.png", 0, (8, 8))
    with pytest.raises(DeploymentError, match="--int8 is the backend alone"):
        list(predict_files(open_system(deployed_digits, int8=True), [path], None))


@pytest.mark.parametrize(
    ("size", "words"),
    [((9, 8), "has 9 x 8 pixels, grey; the network takes 8 x 8"), ((8, 8, 3), "in colour")],
)
def test_pictures_of_another_size_or_colour(deployed_digits, system, tmp_path, size, words):
    path = draw(tmp_path / "a.png", 0, size)
    with pytest.raises(DataError, match=words):
        list(predict_files(system, [path], None))
    assert list(predict_files(open_system(deployed_digits, "pad"), [path], None))


def test_what_is_no_file_to_answer(system, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.txt").write_text("a")
    (tmp_path / "bad.png").write_bytes(b"no image")
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    np.savez(tmp_path / "shape.npz", branch_0=np.zeros((4, 2, 8, 7)))
    np.savez(tmp_path / "counts.npz", branch_0=np.ones((4, 2, 8, 8), np.uint8))
    np.savez(tmp_path / "complex.npz", branch_0=np.ones((4, 2, 8, 8)) * 1j)
    np.savez(tmp_path / "nan.npz", branch_0=np.full((4, 2, 8, 8), np.nan))
    for name, words in (
        ("empty", "holds no image and no captures: allowed are .png"),
        ("a.txt", "is no image and no captures"),
        ("missing.png", "is missing"),
    ):
        with pytest.raises(DataError, match=words):
            list_files([tmp_path / name])
    for name, words in (
        ("bad.png", "bad.png"),
        ("other.npz", "hold no array branch_0"),
        ("shape.npz", r"branch_0 has the shape \(4, 2, 8, 7\); \(4, 2, 8, 8\) is needed"),
        ("nan.npz", r"nan\.npz: the captures hold values that are no number"),
        ("counts.npz", r"counts\.npz: branch_0 holds uint8 values, such as a camera counts"),
        ("complex.npz", r"complex\.npz: branch_0 holds complex128 values; real numbers"),
    ):
        with pytest.raises(DataError, match=words):
            list(predict_files(system, [tmp_path / name], None))


def test_a_run_that_is_not_deployed(deployed_digits, tmp_path):
    import shutil

    copy = shutil.copytree(
        deployed_digits, tmp_path / "run", ignore=shutil.ignore_patterns("deployed")
    )
    with pytest.raises(DeploymentError, match="is not deployed; run `hybridonn deploy"):
        open_system(copy)


def test_a_watched_folder_goes_on_when_files_are_bad_or_vanish(system, tmp_path):
    """A camera writes: a whole image, half of one, one that vanishes, then the half is whole."""
    said: list[str] = []
    looks = 0

    def stop() -> bool:
        nonlocal looks
        looks += 1
        if looks == 1:
            draw(tmp_path / "first.png")
            content = draw(tmp_path / "half.png", 1).read_bytes()
            (tmp_path / "half.png").write_bytes(content[: len(content) // 2])
            stop.content = content  # type: ignore[attr-defined]
        if looks == 4:
            draw(tmp_path / "gone.png", 2)
        if looks == 5:
            (tmp_path / "gone.png").unlink()
            (tmp_path / "half.png").write_bytes(stop.content)  # type: ignore[attr-defined]
        return looks > 9

    rows = list(watch(system, tmp_path, None, said.append, stop, 0.0))
    assert [Path(row["file"]).name for row in rows] == ["first.png", "half.png"]
    assert len(said) == 2
    assert "half.png" in said[0]
    assert said[1] == f"{tmp_path / 'gone.png'} vanished before it was whole"


def test_a_watched_folder_that_vanishes_is_waited_for(system, tmp_path):
    folder, said, looks = tmp_path / "in", [], iter(range(9))
    folder.mkdir()

    def stop() -> bool:
        look = next(looks, None)
        if look == 1:
            folder.rmdir()
        if look == 4:
            folder.mkdir()
            draw(folder / "a.png")
        return look is None

    assert len(list(watch(system, folder, None, said.append, stop, 0.0))) == 1
    assert said == [f"{folder} vanished; waiting for it to come back"]
    with pytest.raises(DataError, match="no folder that could be watched"):
        next(watch(system, tmp_path / "none", None, said.append))


def test_masks_are_pictures_of_classes_and_maps_of_numbers_arrays(tmp_path):
    classes = torch.tensor([[0, 1], [2, 0]])
    place = write_mask(Answer(classes, "", 1.0, 1.0), tmp_path, Path("x/cell.tif"))
    assert place.name == "cell.tif.mask.png"
    with Image.open(place) as picture:
        assert np.asarray(picture).tolist() == classes.tolist()
    numbers = write_mask(Answer(classes / 2, "", 1.0, 1.0), tmp_path, Path("cell.tif"))
    assert np.load(numbers).tolist() == [[0, 0.5], [1, 0]]


def test_masks_beside_their_images_are_no_images(tmp_path):
    """They were answered in turn, without end where the folder was watched."""
    draw(tmp_path / "a.png")
    draw(tmp_path / "b.mask.png")
    for name in ("a.png.mask.png", "a.png.boxes.png"):
        draw(tmp_path / name)
    assert [path.name for path in list_files([tmp_path])] == ["a.png", "b.mask.png"]


def test_two_files_of_one_name_have_no_one_mask(tmp_path):
    """The second mask was written over the first, and the table named it twice."""
    system: Any = SimpleNamespace(
        answer=lambda path: Answer(torch.zeros(2, 2, dtype=torch.long), "", 1.0, 1.0),
        predictor=SimpleNamespace(manifest=SimpleNamespace(classes=("a",))),
    )
    paths = [tmp_path / "one" / "x.png", tmp_path / "two" / "x.png"]
    rows = predict_files(system, paths, tmp_path / "out")
    assert next(rows)["mask"] == str(tmp_path / "out" / "x.png.mask.png")
    with pytest.raises(DataError, match="have one name"):
        next(rows)
    assert len(list(predict_files(system, paths, None))) == 2


def test_numbers_have_no_confidence():
    row = describe_answer(Answer(torch.rand(2, 2), "", None, 1.5), ("depth",))
    assert row == {"milliseconds": 1.5}


def test_the_command_writes_lines_and_a_table(deployed_digits, tmp_path):
    path, out = draw(tmp_path / "a.png"), tmp_path / "out"
    done = CliRunner().invoke(
        app, ["predict", str(deployed_digits), str(path), "--json", "--out", str(out)]
    )
    assert done.exit_code == 0, done.output
    row = json.loads(done.output)
    with (out / "predictions.csv").open() as file:
        (written,) = csv.DictReader(file)
    assert written["label"] == row["label"]
    for more, words in (
        (["--fit", "x"], "allowed are crop"),
        ([str(path), "--watch"], "one folder"),
    ):
        done = CliRunner().invoke(app, ["predict", str(deployed_digits), str(path), *more])
        assert done.exit_code == 2
        assert words in " ".join(done.output.split())


def test_targets_of_other_systems_are_not_touched(system):
    assert system.target == Target(8, 8, True, "crop")
    assert not system.fits
