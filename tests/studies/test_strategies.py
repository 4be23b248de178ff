"""Kernels first against end to end at equal budgets."""

import csv
import json

import pytest

from hybridonn.core.errors import SpecError
from hybridonn.spec import read_spec
from hybridonn.studies.strategies import (
    parse_epochs,
    parse_variants,
    state_strategies,
    study_strategies,
)
from hybridonn.studies.strategies_summary import LABELS, summarise

TINY = (
    "optics.kernel_site_mm=0.0376",
    "optics.gap_mm=0.004",
    "optics.metasurface_width_mm=0.5",
    "optics.metasurface_height_mm=0.5",
    "optics.metasurface={sensor_distance_mm: 0.2, kernel_pixel_um: 2.344, start_rounds: 1}",
    "optics.metasurface.steps=1",
    "optics.sensor.pixel_um=1.172",
    "student.kernels=2",
    "student.kernel_size=3",
    "teacher.training.epochs=1",
    "training.epochs=1",
    "training.batch_size=25",
    "data.train_images=100",
    "distillation.method=none",
)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HYBRIDONN_CACHE", str(tmp_path / "cache"))


@pytest.mark.slow
def test_every_strategy_is_measured_at_its_budget(tmp_path):
    folder, spec = tmp_path / "study", read_spec(None, TINY)
    found = study_strategies(spec, (1,), tuple(LABELS), 1, folder)
    points = {one["variant"]: one for one in found["points"]}
    assert list(points) == list(LABELS)
    # Four steps an epoch and four sub-optics; end to end goes on from a design of 1 + 1.
    assert {name: one["evaluations"] for name, one in points.items()} == {
        **dict.fromkeys(("kernels_first", "refit", "lens", "lens_cropped"), 4 * 4),
        "end_to_end": 4 * (4 + 2),
    }
    assert all(0 <= one["mean"] <= 1 and 0 <= one["cropped"] <= 1 for one in points.values())
    assert points["refit"]["seconds"] > points["kernels_first"]["seconds"]
    assert [one["variant"] for one in found["differences"]] == [n for n in LABELS if n != "lens"]
    assert found["sentences"][-1].startswith("1 epoch: ")
    assert "cannot be told from these seeds" in found["sentences"][-1]
    assert json.loads((folder / "strategies.json").read_text()) == found
    assert len(list(csv.DictReader((folder / "strategies.csv").open()))) == len(LABELS)
    assert (folder / "strategies.png").stat().st_size > 1000
    assert "kernels first" in (folder / "report.html").read_text()
    assert not list((folder / "checkpoints").iterdir())
    # Asked again, nothing is done anew.
    assert study_strategies(spec, (1,), ("lens",), 1, folder)["points"][0] == points["lens"]


def make_rows(first, lens):
    pairs = zip(first, lens, strict=True)
    return [
        {
            "variant": name,
            "epochs": 1,
            "seed": seed,
            "accuracy": value,
            "cropped_accuracy": 1.0,
            "seconds": 1.0,
            "evaluations": 10,
        }
        for seed, values in enumerate(pairs)
        for name, value in zip(("kernels_first", "lens"), values, strict=True)
    ]


@pytest.mark.parametrize(
    ("first", "lens", "verdict"),
    [
        ((0.9, 0.91, 0.9), (0.3, 0.3, 0.3), "3.0"),
        ((0.9, 0.91, 0.9), (0.8, 0.81, 0.8), "1.1"),
        ((0.9, 0.5, 0.7), (0.35, 0.37, 0.3), "2.0"),
    ],
)
def test_twice_as_much_is_said_with_its_interval(first, lens, verdict):
    words = {"3.0": "holds", "1.1": "does not hold", "2.0": "cannot be told from these seeds"}
    said = summarise(make_rows(first, lens), "accuracy", "accuracy")["sentences"][-1]
    assert f"kernels first reach {verdict}" in said
    assert said.endswith(f"twice as much {words[verdict]}")


def test_what_cannot_be_compared_is_refused(tmp_path):
    with pytest.raises(SpecError, match="'glass' is not known; allowed is any of kernels_first"):
        parse_variants("lens,glass")
    for text in ("0", "1,1", "x", ""):
        with pytest.raises(SpecError, match="--epochs"):
            parse_epochs(text)
    lens = read_spec(None, ("optics.frontend=lens", "student.kernels=1"))
    with pytest.raises(SpecError, match="a metasurface is made of ideal kernels"):
        state_strategies(lens)
    digital = read_spec(None, ("student.optics=none",))
    with pytest.raises(SpecError, match="there is no chip to design"):
        state_strategies(digital)
    few = read_spec(None, (*TINY, "optics.metasurface.start_rounds=4"))
    with pytest.raises(SpecError, match="evaluates each PSF 4 times, but the rounds"):
        study_strategies(few, (1,), ("lens",), 1, tmp_path / "few")
