"""What every command prints of its numbers: ten lines at most, in words, never a raw key."""

from __future__ import annotations

import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from tests.cli.test_app import LEAVES
from tests.reports.test_studies import STUDIES
from typer.testing import CliRunner

from hybridonn.cli import captures, data, reproduce, studies
from hybridonn.cli.app import app
from hybridonn.cli.screen import print_comparison, print_forecast, print_line, print_table
from hybridonn.cli.summary import BRIEF, LINES, list_chips, summarise
from hybridonn.data.dataset import PARTS
from hybridonn.pipeline.forecast import ForecastStage
from hybridonn.pipeline.result_keys import METRICS, RESULT_KEYS

RAW = re.compile(r"\b[a-z]+_[a-z_]+")
TEXTS = {"method": "ntkd", "name": "lenet", "preset": "paper-mnist", "backend": "student"}
DEPLOYED: dict[str, Any] = {
    "backend": "compensated",
    "optics": "captures",
    "test_images": 359,
    "accuracy": 0.98,
    **{
        name: {"largest_relative_difference": 2e-7, "same_predictions": 1.0, "accuracy": 0.98}
        for name in ("onnx", "int8", "hybrid", "tflite_micro")
    },
    "c": {
        **{"weight_bytes": 35672, "working_bytes": 4096, "flash_needed_bytes": 166744},
        **{"host_same_largest_output": 1.0, "cortex_m4_same_largest_output": 1.0},
    },
    "macs": {"teacher": 239232, "digital": 21632, "backend": 8832},
    "parameters": {"teacher": 22202, "digital": 9114, "backend": 8914},
    "latency_us": {"torch": 21.7, "onnxruntime": 5.9, "int8": 7.9, "c": 2.5},
}
COMPENSATED: dict[str, Any] = {
    **{"method": "none", "accuracy": 0.98, "captures": 129, "parameters": 8914},
    "held_out": {"captures": 26, "uncompensated": 0.84, "calibrated": 0.96, "none": 0.97},
    **{f"{one}_accuracy": 0.9 for one in ("uncompensated", "calibrated", "none", "ntkd")},
    **{"seconds": 0.31, "parameters_before": 8914, "source": "captures"},
    "same_images": {"test_captures": 359, "ideal_accuracy": 0.98},
}
LAYOUT_FILE: dict[str, Any] = {
    **{"sub_optics": 16, "pillars": 40_960_000, "distinct_widths": 150},
    **{"minimum_feature_nm": 65.0, "minimum_gap_nm": 56.0, "step_nm": 0.5, "tone": "pillars"},
    "bounding_box_mm": (-2.2, -2.2, 2.2, 2.2),
    **{"bytes": 36_000_000, "sha256": "0123456789abcdef" * 4, "seconds": 31.0},
}
CHIPS = {"mean": 0.9, "standard_deviation": 0.01, "lowest": 0.8, "highest": 0.95}
YIELD = {"yield": 0.5, "yield_low": 0.1, "yield_high": 0.9}
ENDS = {"spearman": 0.8, "spearman_low": 0.5, "spearman_high": 0.9, "time_share": 0.01}
RANKING = {
    **{"name": "digits", "designs": [1], "trained_low": 0.6, "trained_high": 0.9},
    "estimates": {
        "design": {"mean_error_points": 2.0, "bias_points": -1.0, "regret_points": 0.0}
        | {"bias_points_low": -2.0, "bias_points_high": 0.0}
        | ENDS
    },
    "similarity": ENDS,
}
RANDOM = {
    **{"name": "digits", "train_images": 100},
    "columns": [
        {"kernels": "8", "mean": 0.9, "low": 0.8, "high": 0.95, "standard_deviation": 0.01}
        | {"paper": 95.0, "seconds": 1.0, "method": "ridge regression"}
    ],
}
SUB_OPTIC = {
    **{"sub_optic": "0+", "correlation": 0.9, "gain": 1.0, "scale": 1.0, "measured_share": 0.5},
    **{"shift_y_pixels": 0.1, "shift_x_pixels": 0.1, "rotation_degrees": 0.2},
}
NOTES = {
    **{"images": {"student_train": 103}, "sub_optics": [SUB_OPTIC], "mounting": "upright"},
    **{"mosaic": None, "skipped_images": 0},
}
SURVEY = SimpleNamespace(
    **{"name": "digits", "image_shape": (1, 8, 8), "counts": dict.fromkeys(PARTS, 1437)},
    **{"balance": {"0": dict.fromkeys(PARTS, 0.1)}, "mean": (0.3,), "standard_deviation": (0.3,)},
    **{"stored": {"8 x 8, float64": 1797}, "remarks": [], "faults": []},
)
REPRODUCED = {
    **{"title": "Table 1", "unit": "%", "sentences": ["A sentence."]},
    "rows": [
        {"system": "MNIST", "row": "NTKD", "paper": 98.0, "paper_spread": None, "ours": 0.981}
        | {"low": None, "high": None, "interval_of": "", "seconds": 1.0, "note": ""}
    ],
}


def fill(stage: str) -> dict[str, Any]:
    """Numbers of a stage under every key that it may have."""
    real = {"deployed": DEPLOYED, "compensated": COMPENSATED}
    names = [key.replace("METRIC", METRICS[0]) for key in RESULT_KEYS[stage]]
    return (
        dict.fromkeys(names, 0.5)
        | {k: v for k, v in TEXTS.items() if k in names}
        | real.get(stage, {})
    )


def print_study(name: str, say: Callable[[dict[str, Any]], None]) -> Callable[[], None]:
    more = {"seeds": [0], "design": "digits", "label": "accuracy", "sentences": []}
    return lambda: say(STUDIES[name] | more)


RUN = {stage: fill(stage) for stage in RESULT_KEYS}
STAGES = [ForecastStage(stage, "new", None, None) for stage in RESULT_KEYS]
# What prints the numbers of each command.
PRINTED: dict[str, Callable[[], None]] = {
    "run": lambda: print_table("digits", RUN),
    "run --dry-run": lambda: print_forecast("runs/digits", STAGES),  # type: ignore[arg-type]
    "estimate": lambda: print_table("digits", {one: RUN[one] for one in ("layout", "estimate")}),
    "train-teacher": lambda: print_table("digits", {"teacher": RUN["teacher"]}),
    "design": lambda: print_table("digits", RUN),
    "export-layout": lambda: print_table("digits", {"layout_file": LAYOUT_FILE}),
    "compensate": lambda: print_table("digits", {"compensated": RUN["compensated"]}),
    "deploy": lambda: print_table("digits", {"deployed": RUN["deployed"]}),
    "tolerance": lambda: print_table("3 chips", {"uncompensated": CHIPS | YIELD}, list_chips),
    "predict": lambda: print_line({"file": "a.png", "label": "7", "milliseconds": 0.3}),
    "compare": print_study("comparison", print_comparison),
    "captures import": lambda: captures._print_notes(NOTES),
    "captures agreement": lambda: captures._print_agreement(["0+"], {"best convolution": [0.9]}),
    "data check": lambda: data._print_survey(SURVEY),
    "study ranking": lambda: studies._print_ranking(RANKING),
    "study random-kernels": lambda: studies._print_random_kernels(RANDOM),
    "study readout": print_study("readout", studies._print_readout),
    "study regimes": print_study("regimes", studies._print_regimes),
    "study strategies": print_study("strategies", studies._print_strategies),
    "cost": lambda: None,  # below, with `list`
    "list": lambda: None,
    "reproduce": lambda: reproduce._print_table(REPRODUCED),
}
# These print sentences of their own, files, or a spec, whose keys are what a user writes.
OTHERS = {
    *("init", "spec", "tune", "tune-compensation", "report", "version", "bundle"),
    *("live", "explore", "cluster scheduler", "cluster worker", "study perturbation"),
    *("captures template", "captures simulate", "optics library", "optics show"),
}


def test_every_command_is_looked_at() -> None:
    known = {name.removesuffix(" --dry-run") for name in PRINTED} | OTHERS
    assert known == {" ".join(path) for path in LEAVES}


@pytest.mark.parametrize("command", PRINTED)
def test_no_command_prints_a_raw_key(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    PRINTED[command]()

    shown = capsys.readouterr().out
    assert not RAW.findall(shown)


@pytest.mark.parametrize("words", ["cost --paper", "list presets", "list students"])
def test_the_heads_of_tables_are_words(words: str) -> None:
    head = CliRunner().invoke(app, words.split(), env={"COLUMNS": "160"}).output.partition("┡")[0]
    assert head
    assert not RAW.findall(head)


@pytest.mark.parametrize("stage", [*RESULT_KEYS, "layout_file"])
def test_the_numbers_of_a_stage_alone_are_ten_lines_at_most(stage: str) -> None:
    numbers = LAYOUT_FILE if stage == "layout_file" else RUN[stage]
    rows = summarise({stage: numbers})

    assert len(rows) <= 10
    assert stage in {*BRIEF, *LINES}
    assert all(line for _, line in rows)


def test_a_deployed_network_is_told_in_lines_that_matter() -> None:
    told = dict(summarise({"deployed": DEPLOYED}))

    assert told["ONNX, 8-bit integers"] == "98.00 %, answers as in torch: 100.00 %"
    assert told["C memory"] == "weights 35.7 kB, working memory 4.1 kB"
    assert told["time of an image"].startswith("torch 21.7 us, ONNX Runtime 5.9 us")


def test_a_compensated_chip_is_told_by_treatment() -> None:
    told = dict(summarise({"compensated": COMPENSATED}))

    assert told["fine-tuned on labels"] == "90.00 %; on captures held out 97.00 %; kept"
    assert told["fine-tuned with NTKD"] == "90.00 %"
    assert "fine-tuned with KD" not in told


def test_a_difference_that_rounds_to_zero_has_no_minus() -> None:
    found = {"mean": -2e-8, "low": -4e-8, "high": 1e-8}
    assert studies._show_difference(found) == "+0.00 [+0.00, +0.00]"
    assert studies._show_difference(found | {"mean": -0.0123}) == "-1.23 [+0.00, +0.00]"
