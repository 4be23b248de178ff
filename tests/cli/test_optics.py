import csv
import re
import sys

import pytest
import torch
from typer.testing import CliRunner

from hybridonn.cli.optics import app
from hybridonn.core.errors import OpticsError
from hybridonn.optics.meta_atoms.library_run import parse_lengths
from hybridonn.optics.meta_atoms.pillars import PillarLibrary, default_library

RUNNER = CliRunner()
SMALL = ["library", "--widths-nm", "100,150,200", "--wavelengths-nm", "635,450", "--harmonics", "2"]


def run(*words):
    return RUNNER.invoke(app, [str(word) for word in words], catch_exceptions=False)


def test_a_library_without_the_solver_says_how_to_install_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "hybridonn.optics.meta_atoms.meent_modes", None)
    with pytest.raises(OpticsError, match=r"pip install 'hybridonn\[rcwa\]'"):
        run(*SMALL, "--out", tmp_path / "pillars.csv")
    assert not list(tmp_path.iterdir())


def test_a_small_library_with_its_record_and_picture(tmp_path):
    pytest.importorskip("meent")
    out = tmp_path / "mine" / "pillars.csv"
    result = run(*SMALL, "--out", out)
    assert result.exit_code == 0
    assert "635 nm: phase over" in result.output
    assert str(out.with_suffix(".png")) in result.output
    library = PillarLibrary.read_csv(out)
    assert (library.widths_m * 1e9).round().tolist() == [0, 100, 150, 200]
    assert re.search(r"meent 0[.\d]+, 5 x 5 harmonics", library.source)
    with out.with_name("pillars.convergence.csv").open() as file:
        record = list(csv.DictReader(file))
    assert {row["harmonics"] for row in record} == {"1", "2", "6"}
    assert len(record) == 3 * 2 * 3
    names = {path.name for path in out.parent.iterdir()}
    assert names == {"pillars.csv", "pillars.convergence.csv", "pillars.png", "pillars.svg"}


def test_bad_geometry_leaves_nothing(tmp_path):
    with pytest.raises(OpticsError, match="leave gaps of 33 nm"):
        run("library", "--widths-nm", "65:260:5", "--out", tmp_path / "pillars.csv")
    with pytest.raises(OpticsError, match=r"cannot read .*none\.yml"):
        run("library", "--material", tmp_path / "none.yml", "--out", tmp_path / "pillars.csv")
    with pytest.raises(OpticsError, match="17 harmonics, and 21 of the convergence record"):
        run("library", "--harmonics", "17", "--out", tmp_path / "pillars.csv")
    assert not list(tmp_path.iterdir())


def test_the_packaged_library_is_shown(tmp_path):
    result = run("show", "--out", tmp_path / "library.png")
    assert "RMS to the authors' phase" in result.output
    assert (tmp_path / "library.png").stat().st_size > 20_000


def test_another_library_is_checked_and_shown(tmp_path):
    library = default_library().at([450e-9])
    library.write_csv(tmp_path / "blue.csv")
    result = run("show", tmp_path / "blue.csv", "--out", tmp_path / "blue.png")
    assert "450 nm" in result.output
    assert "635 nm" not in result.output
    (tmp_path / "bad.csv").write_text("width_nm\n1\n")
    with pytest.raises(OpticsError, match="a library needs"):
        run("show", tmp_path / "bad.csv")


@pytest.mark.parametrize(
    ("text", "expected_nm"),
    [("65:70:2.5", [65, 67.5, 70]), ("65:237:1", range(65, 238)), ("635, 532", [635, 532])],
)
def test_lengths_are_read(text, expected_nm):
    lengths = torch.tensor(parse_lengths("--widths-nm", text), dtype=torch.float64)
    expected = torch.tensor(list(expected_nm), dtype=torch.float64) * 1e-9
    torch.testing.assert_close(lengths, expected, atol=1e-18, rtol=1e-12)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("65:237", "write FIRST:LAST:STEP"),
        ("65:237:0", "write FIRST:LAST:STEP"),
        ("70:65:1", "write FIRST:LAST:STEP"),
        ("1:100000:0.01", "write FIRST:LAST:STEP"),
        ("", "write FIRST:LAST:STEP"),
        ("wide", "write FIRST:LAST:STEP"),
        ("65,70,65", "65 is given twice"),
        ("65,-3", "-3 is not a length"),
        ("nan,3", "nan is not a length"),
    ],
)
def test_lengths_that_are_none(text, sentence):
    with pytest.raises(OpticsError, match=f"--widths-nm.*{sentence}"):
        parse_lengths("--widths-nm", text)
