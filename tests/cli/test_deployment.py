"""The commands of a network on its way to a device."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from hybridonn.cli.app import app


def run(*arguments: str):
    return CliRunner().invoke(app, arguments, env={"COLUMNS": "160"})


def test_the_papers_energy_table_is_one_command() -> None:
    """Digital U-Net 2.04 J, compact digital network 9.73 mJ, hybrid 5.83 mJ an image."""
    table = run("cost", "--paper", "--assume", "paper")
    rows = json.loads(run("cost", "--paper", "--assume", "paper", "--json").output)["energy"]

    assert table.exit_code == 0
    assert "paper: the paper, with capture; Xiang et al." in table.output
    assert "2.03 J" in table.output
    assert "5.82 mJ" in table.output
    assert " ".join(table.output.split()).count("arXiv 2508.08421") == 1
    assert [row["joules"] for row in rows] == pytest.approx([2.04, 9.73e-3, 5.83e-3], rel=0.005)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("cost",), 2, "name a run, or give --paper"),
        (("cost", "--paper", "--mac-pj", "0"), 2, "a number above 0"),
        (("cost", "nowhere"), 1, ""),
    ],
)
def test_what_cannot_be_counted(arguments, code, words) -> None:
    done = run(*arguments)
    assert done.exit_code == code
    assert words in " ".join(done.output.split())
