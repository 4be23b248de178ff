"""The short version of ``make kill``: a few kills of small commands; and that it would see."""

import os
from pathlib import Path

import pytest
from fuzzing.readers_runs import without_drawing
from killing.commands import KILLED, execute
from killing.events import Kill
from killing.outcome import compare
from killing.scenarios import TINY, Scenario, build_library, draw_pictures, set_all, type_in
from killing.trials import disturb, plan, run_undisturbed

from hybridonn.core.files import write_text


def run_digits():
    with without_drawing():
        type_in("run", "--out", "run", *set_all(TINY))()


def without_anything(home):
    pass


SHORT = (
    (Scenario("digits", 0, without_anything, run_digits), 3),
    (Scenario("pictures", 0, draw_pictures, type_in("data", "check", "pictures.yaml")), 3),
    (Scenario("library", 0, without_anything, build_library), 2),
)


@pytest.mark.parametrize(("scenario", "kills"), SHORT, ids=[each.name for each, _ in SHORT])
def test_a_killed_command_ends_as_if_it_had_not_been(scenario, kills, warm, tmp_path, monkeypatch):
    if scenario.name == "library":
        monkeypatch.delenv("HYBRIDONN_COMPILED")
    reference = run_undisturbed(scenario, tmp_path / "undisturbed")
    for number, each in enumerate(plan(reference.events, kills, "short")):
        trial = disturb(scenario, reference, each, tmp_path / str(number))
        assert not trial.faults, trial
        assert trial.disturbances


def write_twice():
    """A command that writes one file well and goes on with what it finds of another."""
    write_text(Path("run/good"), "good")
    bad = Path("run/bad")
    bad.write_text("ab" if not bad.exists() else bad.read_text() + "b")


def write_the_other_way():
    Path("run").mkdir(exist_ok=True)
    bad = Path("run/bad")
    bad.write_text("ab" if not bad.exists() else bad.read_text() + "b")
    Path("run/good").write_text("good")
    Path("run/good").unlink()


def leave_a_part():
    part = Path(f"run/.{os.getpid()}.part")
    part.parent.mkdir(exist_ok=True)
    part.write_text("x")
    part.replace("run/whole")


def fail_the_second_time():
    Path("run").mkdir()
    Path("run/file").write_text("x")


@pytest.mark.parametrize(
    ("command", "kill", "fault"),
    [
        (write_twice, Kill(4), None),  # before bad is opened
        (write_the_other_way, Kill(4), "different: run/bad"),
        (leave_a_part, Kill(3), "left over: run/."),
        (fail_the_second_time, Kill(2), "run again, it ended with status 1: "),
    ],
)
def test_what_is_wrong_after_a_kill_is_seen(command, kill, fault, tmp_path):
    scenario = Scenario("made up", 0, without_anything, command)
    reference = run_undisturbed(scenario, tmp_path / "undisturbed")
    trial = disturb(scenario, reference, (kill,), tmp_path / "killed")
    assert trial.disturbances == (kill,)
    assert [found.startswith(fault or "-") for found in trial.faults] == [True] * bool(fault)


def test_every_file_event_can_be_the_last(tmp_path):
    scenario = Scenario("made up", 0, without_anything, write_twice)
    reference = run_undisturbed(scenario, tmp_path / "undisturbed")
    assert reference.events >= 4  # mkdir, open, rename, open
    for event in range(1, reference.events + 1):
        home = tmp_path / str(event)
        home.mkdir()
        assert execute(home, write_twice, Kill(event)).status == KILLED
    assert not (tmp_path / "1" / "run").exists()
    assert execute(tmp_path, write_twice, Kill(reference.events + 1)).status == 0


def test_a_torn_file_is_half_of_it_and_never_under_its_name(tmp_path):
    assert execute(tmp_path, write_twice, Kill(3, torn=True)).status == KILLED
    (part,) = (tmp_path / "run").iterdir()
    assert part.name.endswith(".part")
    assert part.read_text() == "go"


def test_stocks_are_compared():
    wanted = {"run/w": "1", "run/x": "2", "cache/KEY/": ""}
    found = {"run/w": "3", "run/.y.part": "", "cache/": ""}
    assert compare(found, wanted) == {
        "left over": ["cache/", "run/.y.part"],
        "missing": ["run/x"],
        "different": ["run/w"],
    }


def test_kills_lie_over_all_events_and_come_again_while_a_run_goes_on():
    trials = plan(900, 90, "seed")
    assert sum(map(len, trials)) == 90
    firsts = [trial[0].event for trial in trials]
    assert firsts == sorted(firsts)
    assert firsts[0] < 20
    assert firsts[-1] > 880
    assert {len(trial) for trial in trials} == {1, 2}
    assert plan(900, 90, "seed") == trials
