"""A sweep over what the camera reads out."""

import csv
import json

import pytest

from hybridonn.core.errors import ArtefactError, SpecError
from hybridonn.reports.figures.readout import write_readout
from hybridonn.spec import read_spec
from hybridonn.studies.readout import Grid, list_points, parse_numbers, sweep_readout
from hybridonn.studies.readout_summary import summarise, tabulate

TINY = (
    "teacher.training.epochs=1",
    "training.epochs=1",
    "data.train_images=100",
    "student.kernel_size=3",
    "distillation.method=none",
)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HYBRIDONN_CACHE", str(tmp_path / "cache"))


def row(optics, kernels, size, value, seed=0, numbers=None):
    read = numbers or (size**2 if optics == "lens" else 2 * kernels * size**2)
    sizes = {"numbers": read, "bits_read": 8 * read, "digital_parameters": 1, "macs": 1}
    point = {"optics": optics, "kernels": kernels, "pooled_size": size, "bits": 8}
    return point | sizes | {"seed": seed, "accuracy": value}


def test_a_lens_stands_once_for_all_numbers_of_kernels():
    points = list_points(Grid((2, 4), (4, 8), (3, 5)), 1)
    lenses = [one for one in points if one.optics == "lens"]
    assert (len(lenses), len(points)) == (4, 4 + 8)
    assert {one.kernels for one in lenses} == {1}


def test_ideal_kernels_are_compared_at_the_same_pixels_and_at_no_more_numbers():
    rows = [
        row("lens", 1, size, value + 0.01 * seed, seed)
        for size, value in ((2, 0.5), (4, 0.8), (8, 0.9))
        for seed in range(2)
    ]
    rows += [row("ideal", 4, 2, 0.75 + 0.02 * seed, seed) for seed in range(2)]
    *_, ideal = summarise(rows, "accuracy")["points"]
    assert ideal["same_pooled_size"]["mean"] == pytest.approx(0.255)
    assert ideal["no_more_numbers"]["lens_pooled_size"] == 4  # 16 of 32 numbers, not 64
    assert ideal["no_more_numbers"]["mean"] == pytest.approx(-0.045)
    assert tabulate([ideal])[0]["no_more_numbers.lens_pooled_size"] == 4


def test_without_a_lens_that_reads_no_more_nothing_is_compared():
    rows = [row("lens", 1, 8, 0.9), row("ideal", 1, 2, 0.6)]
    ideal = summarise(rows, "accuracy")["points"][1]
    assert ideal["same_pooled_size"] is None
    assert ideal["no_more_numbers"] is None


def test_the_sentences_count_who_is_ahead():
    rows = [row("lens", 1, 4, 0.5 + 0.01 * seed, seed) for seed in range(3)]
    rows += [row("ideal", 2, 4, 0.9 + 0.011 * seed, seed) for seed in range(3)]
    assert summarise(rows, "accuracy")["sentences"][1] == (
        "ideal kernels against the best lens that reads no more numbers: ahead at 1 of 1 "
        "read-outs, behind at 0, not distinguishable at 0"
    )


def test_the_sweep_is_whole_and_resumed(tmp_path):
    folder, spec = tmp_path / "study", read_spec(None, TINY)
    found = sweep_readout(spec, Grid((2,), (1, 8), (2,)), 1, folder)
    assert [one["numbers"] for one in found["points"]] == [4, 4, 16, 16]
    assert [one["bits_read"] for one in found["points"]] == [4, 32, 16, 128]
    lens, ideal = (found["points"][place]["digital_parameters"] for place in (0, 2))
    assert ideal - lens == 1 + 4 * 64
    assert json.loads((folder / "readout.json").read_text()) == found
    students = list(csv.DictReader((folder / "students.csv").open()))
    assert [(one["optics"], one["bits"]) for one in students] == [
        ("lens", "1"), ("lens", "8"), ("ideal", "1"), ("ideal", "8"),
    ]  # fmt: skip
    assert len(list(csv.DictReader((folder / "readout.csv").open()))) == 4
    for suffix in (".png", ".svg"):
        assert (folder / f"readout{suffix}").stat().st_size > 1000
    kept = {path: path.stat().st_mtime_ns for path in folder.rglob("stage.json")}
    lens_only = sweep_readout(spec, Grid((2,), (8,), (2,), ("lens",)), 1, folder)
    assert lens_only["points"] == [found["points"][1]]
    assert kept == {path: path.stat().st_mtime_ns for path in folder.rglob("stage.json")}
    with pytest.raises(ArtefactError, match=r"optics\.sensor\.exposure is 1\.0 there and 2\.0 her"):
        darker = read_spec(None, (*TINY, "optics.sensor.exposure=2.0"))
        sweep_readout(darker, Grid((2,), (8,), (2,)), 1, folder)


def test_wrong_words_specs_and_files_are_refused(tmp_path):
    for text in ("", "8,many", "-3", "0", "4,4"):
        with pytest.raises(SpecError, match="--bits"):
            parse_numbers("--bits", text)
    spec = read_spec(None, TINY)
    for grid, words in (
        (Grid((9,), (8,), (2,)), r"student\.pooled_size is 9.* allowed is 1 to 8"),
        (Grid((2,), (64,), (2,)), r"bit_depth: 64 bits is beyond"),
    ):
        with pytest.raises(SpecError, match=words):
            sweep_readout(spec, grid, 1, tmp_path / "study")
    own = spec.student.model_copy(update={"backend": "mynet:Head"})
    with pytest.raises(SpecError, match="backend is mynet:Head, but the read-out"):
        changed = spec.model_copy(update={"student": own})
        sweep_readout(changed, Grid((2,), (8,), (2,)), 1, tmp_path / "study")
    (tmp_path / "readout.json").write_text("{}")
    with pytest.raises(ArtefactError, match=r"readout\.json"):
        write_readout(tmp_path)
