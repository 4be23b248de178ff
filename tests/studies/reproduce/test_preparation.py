"""Teachers of several parts, made before the parts are measured."""

from dataclasses import replace

from tiny_part import TINY

from hybridonn.core.progress import Silent
from hybridonn.studies.reproduce import preparation
from hybridonn.studies.reproduce.found import Call
from hybridonn.studies.reproduce.kinds import KINDS
from hybridonn.studies.reproduce.plan import estimate_cost, make_plan
from hybridonn.studies.reproduce.preparation import Parts, list_prepared, prepare, prepare_part
from hybridonn.studies.reproduce.record import Cost, Part, Row, Size, Table
from hybridonn.studies.reproduce.reproduce import reproduce
from hybridonn.studies.reproduce.tables import TABLES
from hybridonn.studies.workers import HERE, Workers


def make_part(name, **more):
    size = Size(1, Cost(10, {name: 100}), TINY)
    rows = (Row("none", "task alone"),)
    return Part(name, f"system {name}", "students", "mnist", rows, size, size, **more)


def make_table(*parts):
    return Table("tiny", "A tiny table", "On digits.", parts)


def test_parts_that_share_a_run_or_a_folder_are_prepared_once():
    plan = make_plan(TABLES.values(), True, None)
    prepared = list_prepared(plan)
    runs = {one.options["run"] for one in TABLES["table4"].parts}
    assert {"mnist", "cifar10", *runs} <= set(prepared)
    assert len(prepared) == len({one.part.shared_folder for one in prepared.values()})
    assert not any(one.part.study in ("energy", "random kernels") for one in prepared.values())


def test_workers_share_the_teachers_but_not_the_longest():
    plan = make_plan([make_table(make_part("a"), make_part("b"))], False, None)
    cost = estimate_cost(plan)
    assert (cost.take(1), cost.take(2), cost.take(4)) == (220, 110, 105)


def test_what_was_prepared_is_found_when_the_part_is_measured(tmp_path):
    table = make_table(make_part("a"))
    plan, folder = make_plan([table], False, None), tmp_path / "out"
    assert prepare_part(Parts(list_prepared(plan), folder, None), {"folder": "a"}, Silent()) == {}
    weights = folder / "a" / "teacher" / "weights.safetensors"
    trained = weights.stat().st_mtime_ns
    (folder / "reproduction.json").write_text('{"quick": false, "tables": []}')
    (found,) = reproduce([table], False, folder)
    assert found["rows"][0]["ours"] > 0
    assert weights.stat().st_mtime_ns == trained


def prepare_two(tmp_path, monkeypatch, workers):
    """Two parts, one of which cannot be made, by an engine that does the runs here."""
    parts = make_part("a"), replace(make_part("bad"), spec="no-such-example")
    plan = make_plan([make_table(*parts)], False, None)
    called = []

    def map_runs(work, runs, rows, shared, progress, workers):
        called.extend(run.name for run in runs)
        raise preparation.HybridonnError("1 of 2 runs failed")

    monkeypatch.setattr(preparation, "map_runs", map_runs)
    for _ in range(2):  # the second time the folder is there
        prepare(plan, False, tmp_path, None, Silent(), workers)
    return called


def test_a_part_that_cannot_be_prepared_is_left_to_itself(tmp_path, monkeypatch):
    assert prepare_two(tmp_path, monkeypatch, Workers(2)) == 2 * ["a", "bad"]


def test_in_this_process_nothing_is_made_beforehand(tmp_path, monkeypatch):
    assert prepare_two(tmp_path, monkeypatch, HERE) == []


def test_a_run_is_prepared_where_its_chips_look_for_it(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr("hybridonn.pipeline.run.run", lambda spec, folder, *_: seen.append(folder))
    part = replace(make_part("chips"), study="chips", options={"run": "shared-run"})
    call = Call(tmp_path / "chips", None, Silent(), HERE)
    KINDS["chips"].prepare(part, [], None, call)
    assert seen == [tmp_path / "shared-run"]
