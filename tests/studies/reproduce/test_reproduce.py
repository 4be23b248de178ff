"""The paper's tables by one command."""

import csv
import json
from dataclasses import replace

import pytest
from tiny_part import TINY
from typer.testing import CliRunner

from hybridonn.cli.app import app
from hybridonn.core.errors import ArtefactError, DataError, SpecError
from hybridonn.studies.engine import StudyError
from hybridonn.studies.reproduce import kinds, preparation, tables
from hybridonn.studies.reproduce import reproduce as measuring
from hybridonn.studies.reproduce.kinds import KINDS, Kind
from hybridonn.studies.reproduce.plan import estimate_cost, make_plan, read_packaged_spec, say_cost
from hybridonn.studies.reproduce.record import Cost, Part, Row, Size, Table
from hybridonn.studies.reproduce.reproduce import reproduce
from hybridonn.studies.reproduce.tables import TABLES, choose_tables

AN_HOUR = 3600


def list_parts():
    """All parts, those on the paper's own data too, by a name for each."""
    for table in TABLES.values():
        for part in table.parts:
            yield f"{table.name}, {part.name}", part
            if part.instead:
                yield f"{table.name}, {part.instead.name}", part.instead


PARTS = dict(list_parts())


def make_table(*keys, study="random kernels", **more):
    rows = tuple(Row(key, f"row {key}", 90.0, 0.5) for key in keys)
    size = Size(2, Cost(1), TINY)
    part = Part("tiny", "digits, tiny", study, "mnist", rows, size, size, **more)
    return Table("tiny", "A tiny table", "On digits.", (part,))


@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS)
@pytest.mark.parametrize("quick", [False, True], ids=["full", "quick"])
def test_the_spec_of_each_part_is_valid_and_each_row_has_a_cost(part, quick):
    size = part.quick if quick else part.full
    if size is None:
        pytest.skip("left out by --quick")
    read_packaged_spec(part.spec, size.settings)
    assert part.study in KINDS
    assert set(size.rows) <= {row.key for row in part.rows}
    if not isinstance(size.cost.run_s, int | float):
        assert set(size.cost.run_s) >= set(size.rows or [row.key for row in part.rows])


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_a_quick_part_says_what_it_leaves_out(table):
    for one in make_plan([table], True, None)[table.name]:
        if one.part.quick != one.part.full:
            assert one.left_out, one.part.name


def test_parts_of_one_name_are_measured_alike():
    known = {}
    for part in PARTS.values():
        sizes = [size.settings for size in (part.full, part.quick) if size]
        told = (part.spec, part.study, sizes)
        assert told == known.setdefault(part.name, told)


def test_all_of_it_quickly_takes_less_than_an_hour_on_two_cores():
    plan = make_plan(choose_tables(["all"]), True, None)
    assert estimate_cost(plan).take(2) < 0.85 * AN_HOUR


def test_the_command_says_what_it_costs_and_does_nothing_in_a_dry_run(tmp_path):
    out = tmp_path / "out"
    found = CliRunner().invoke(
        app, ["reproduce", "table5", "--quick", "--dry-run", "--workers", "2", "--out", str(out)]
    )
    assert found.exit_code == 0, found.output
    assert "runs: about" in found.output
    assert "with 2 workers" in found.output
    assert "left out or smaller: 4,000 training images in place of 54,000" in found.output
    assert not out.exists()


def test_teachers_that_parts_share_cost_once():
    one = make_table("8")
    size = Size(3, Cost(10, {"teacher": 100}))
    parts = tuple(replace(one.parts[0], name=name, full=size) for name in "ab")
    found = estimate_cost(make_plan([replace(one, parts=parts)], False, None))
    assert (found.runs, found.before_s, found.runs_s) == (6, 100, 60)
    assert found.take(2) == 130


def test_the_command_measures_a_table(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "TABLES", {"tiny": make_table("2", "3")})
    call = ["reproduce", "all", "--out", str(tmp_path / "out")]
    found = CliRunner().invoke(app, call)
    assert found.exit_code == 0, found.output
    assert "90 ± 0.5" in found.output
    rows = list(csv.DictReader((tmp_path / "out" / "reproduction.csv").open()))
    assert [row["row"] for row in rows] == ["row 2", "row 3"]
    assert all(float(row["low"]) < float(row["ours"]) < float(row["high"]) for row in rows)
    page = (tmp_path / "out" / "reproduction.html").read_text("utf-8")
    assert "A tiny table" in page
    assert "90 ± 0.5" in page
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("rows/*/*.json")}
    assert times
    assert CliRunner().invoke(app, call).exit_code == 0
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("rows/*/*.json")} == times


def test_students_are_compared_in_pairs(tmp_path):
    (found,) = reproduce([make_table("none", "kd", study="students")], False, tmp_path / "out")
    assert [row["trials"] for row in found["rows"]] == [2, 2]
    assert "digits, tiny: task + KD - task alone" in found["sentences"][0]


def test_chips_are_one_run_for_all_rows_and_a_report_is_made_once_for_all_parts():
    names = ("table4", "figure4", "figure5")
    plan = make_plan([TABLES[name] for name in names], True, None)
    chips = sum(one.size.trials for one in plan["table4"])
    assert estimate_cost(plan).runs == chips
    assert estimate_cost(plan).before_s == estimate_cost({"table4": plan["table4"]}).before_s


def fake(monkeypatch, error):
    def fail(*_):
        raise error

    kind = {"fails": Kind(fail, lambda rows, size: {})}
    for module in (kinds, measuring, preparation):
        monkeypatch.setattr(module, "KINDS", {**KINDS, **kind})


def put_before(table):
    """The table with a part before its own that fails."""
    bad = replace(table.parts[0], name="bad", system="bad", study="fails")
    return replace(table, parts=(bad, *table.parts))


def test_a_part_without_data_is_left_out_and_named(tmp_path, monkeypatch):
    fake(monkeypatch, DataError("no images in DATA/bad"))
    (found,) = reproduce([put_before(make_table("2"))], False, tmp_path / "out")
    bad, good = found["rows"]
    assert bad["ours"] is None
    assert bad["left_out"] == "the data cannot be had: no images in DATA/bad"
    assert good["ours"] > 0
    assert "no images in DATA/bad" in (tmp_path / "out" / "reproduction.html").read_text("utf-8")


def test_a_part_whose_runs_fail_does_not_keep_the_others(tmp_path, monkeypatch):
    fake(monkeypatch, StudyError("1 of 2 runs failed"))
    with pytest.raises(StudyError, match="bad: 1 of 2 runs failed"):
        reproduce([put_before(make_table("2"))], False, tmp_path / "out")
    rows = json.loads((tmp_path / "out" / "reproduction.json").read_text())["tables"][0]["rows"]
    assert [row["ours"] is None for row in rows] == [True, False]


def test_quick_and_whole_measurements_are_not_mixed(tmp_path):
    reproduce([], True, tmp_path / "out")
    with pytest.raises(ArtefactError, match="was measured with --quick, and this command"):
        reproduce([TABLES["energy"]], False, tmp_path / "out")


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ArtefactError, match=r"is not empty and holds no reproduction\.json"):
        reproduce([TABLES["energy"]], True, tmp_path)


def test_an_unknown_table_is_said_with_the_nearest_one():
    with pytest.raises(SpecError, match="'tabel3' is no table; did you mean table3"):
        choose_tables(["tabel3"])


def test_the_original_is_measured_where_its_folder_is_there(tmp_path):
    (tmp_path / "carvana").mkdir()
    names = {one.part.name for one in make_plan([TABLES["table3"]], False, tmp_path)["table3"]}
    assert {"carvana", "carvana-extreme"} <= names
    names = {one.part.name for one in make_plan([TABLES["table3"]], False, None)["table3"]}
    assert {"dsb2018", "dsb2018-extreme"} <= names
    said = " ".join(say_cost(make_plan([TABLES["table3"]], False, tmp_path / "no"), 1))
    assert "DSB2018 (nuclei) in place of Carvana: the original is not in" in said


def test_the_papers_energies_are_those_of_its_own_numbers(tmp_path):
    (found,) = reproduce([TABLES["energy"]], True, tmp_path / "out")
    for row in found["rows"][:3]:
        assert row["ours"] == pytest.approx(row["paper"], rel=0.003)
