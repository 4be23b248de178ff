"""Every command prints in three forms: a summary, every number, or one JSON document."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from hybridonn.cli.app import app
from hybridonn.cli.output import choose_output, keep, say
from hybridonn.cli.screen import print_comparison, print_line, print_rows, print_table

ROOT = Path(__file__).parents[2]
CHECKSUM = "0123456789abcdef" * 4
RESULTS: dict[str, Any] = {
    "layout": {"kernels": 9, "kernels_used": 8, "sites": 16, "rows": 4, "columns": 4},
    "estimate": {"accuracy": 0.965, "uncertainty": 0.0064, "lambda": 1e-6},
    "teacher": {"name": "lenet", "accuracy": 0.9925},
    "teacher_targets": {"images": 1500},
    "student": {"accuracy": 0.7875, "method": "ntkd", "parameters": {"digital": 47858}},
    "baseline": {"accuracy": 0.75, "teacher_margin": 0.2425},
    "fabricated": {"accuracy": 0.7841, "drop": 0.0034, "preset": "paper-mnist"},
    "compensated": {"accuracy": 0.812, "method": "none", "uncompensated_accuracy": 0.7841},
    "layout_file": {"sha256": CHECKSUM},
}


def list_leaves(group: Any) -> Iterator[Any]:
    for command in group.commands.values():
        if hasattr(command, "commands"):
            yield from list_leaves(command)
        else:
            yield command


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, arguments, env={"COLUMNS": "60"})


@pytest.mark.parametrize(
    "command", [*list_leaves(typer.main.get_command(app))], ids=lambda command: command.name
)
def test_every_command_takes_the_options_of_its_output(command: Any) -> None:
    options = {option for one in command.params for option in one.opts}

    assert {"--json", "--quiet", "--verbose"} <= options
    assert ("--set" not in options) or ("--seed" in options and "--device" in options)


def test_a_summary_is_ten_lines_that_matter(capsys: pytest.CaptureFixture[str]) -> None:
    print_table("mnist", RESULTS)

    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 10
    said = " ".join(" ".join(lines).split())
    for words in (
        "layout 8 kernels on 16 sites (4 x 4); 9 would fit",
        "estimate 96.50 %, standard error 0.64 points",
        "teacher 99.25 %, lenet",
        "student 78.75 %, by ntkd, digital parameters: 47,858",
        "baseline 75.00 %, the teacher is better by 24.25 points",
        "fabricated 78.41 %, lost: 0.34 points, paper-mnist",
        "compensated 81.20 %, kept: none, uncompensated: 78.41 %",
    ):
        assert words in said


def test_verbose_prints_every_number_and_cuts_none(capsys: pytest.CaptureFixture[str]) -> None:
    with choose_output(as_json=False, quiet=False, verbose=True):
        print_table("mnist", RESULTS)

    shown = "".join(one for one in capsys.readouterr().out if one not in "│┃ \n")
    for key in ("estimate.lambda", "student.parameters.digital", CHECKSUM):
        assert key in shown


def say_all() -> None:
    print_table("mnist", RESULTS)
    print_rows("rows", [{"a": 1}])
    say("A sentence.")
    say(Path("report.html"))


def test_json_is_one_document_of_raw_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    with choose_output(as_json=True, quiet=False, verbose=False):
        say_all()

    assert json.loads(capsys.readouterr().out) == {
        "results": RESULTS,
        "tables": [{"title": "rows", "rows": [{"a": 1}]}],
        "sentences": ["A sentence."],
        "files": ["report.html"],
    }


def test_quiet_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with choose_output(as_json=False, quiet=True, verbose=False):
        say_all()
        print_line({"a": 1})
        keep({})

    assert capsys.readouterr().out == ""


def test_a_failed_command_prints_no_document(capsys: pytest.CaptureFixture[str]) -> None:
    quietly = choose_output(as_json=True, quiet=False, verbose=False)
    with pytest.raises(ValueError, match="half"), quietly:
        say("half")
        raise ValueError("half")
    say("after")

    assert capsys.readouterr().out == "after\n"


def test_a_comparison_is_kept_whole(capsys: pytest.CaptureFixture[str]) -> None:
    numbers = {"mean": 0.5, "low": 0.4, "high": 0.6, "standard_deviation": 0.01}
    comparison = {
        "design": "digits",
        "label": "accuracy",
        "seeds": [0, 1],
        "methods": {"kd": {"label": "KD", "values": [0.5, 0.5], **numbers}},
        "sentences": ["They are equal."],
    }
    with choose_output(as_json=True, quiet=False, verbose=False):
        print_comparison(comparison)

    document = json.loads(capsys.readouterr().out)
    assert (document["results"], document["sentences"]) == (comparison, ["They are equal."])


def test_what_a_command_is_for_is_printed_even_if_quiet() -> None:
    assert json.loads(run("version", "--json").output).keys() == {"version"}
    assert json.loads(run("spec", "--json").output)["student"]["kernels"] == 8
    assert "kernels: 8" in run("spec", "--quiet").output
    assert run("list", "teachers", "--quiet").output == ""
    assert json.loads(run("list", "teachers", "--json").output)["tables"][0]["rows"][0]


def test_a_seed_is_a_setting_that_set_overrules() -> None:
    assert json.loads(run("spec", "--seed", "7", "--json").output)["seed"] == 7
    words = ("spec", "--seed", "7", "--set", "seed=8", "--json")
    assert json.loads(run(*words).output)["seed"] == 8
    on_cpu = json.loads(run("spec", "--device", "cpu", "--json").output)
    assert on_cpu["training"]["device"] == on_cpu["teacher"]["training"]["device"] == "cpu"


def test_no_command_prints_past_the_options_of_its_output() -> None:
    """What goes to the error stream, and the version of ``--version``, are printed at once."""
    allowed = {"app.py": 1, "deployment.py": 1, "screen.py": 1, "output.py": 0}
    for path in (ROOT / "src" / "hybridonn" / "cli").glob("*.py"):
        text = path.read_text("utf-8")
        found = text.count("typer.echo(") + text.count("open_console().print(")
        assert found <= allowed.get(path.name, 0), f"{path.name}: print by hybridonn.cli.output.say"


def test_an_answered_file_is_a_line_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    row = {"file": "a.png", "label": "7", "share_cell": 0.25, "count_cell": 3}
    print_line(row | {"confidence": 0.963062, "milliseconds": 0.358})
    assert capsys.readouterr().out == "a.png  7  cell 25.0 %  cell 3  96.3 %  0.358 ms\n"
