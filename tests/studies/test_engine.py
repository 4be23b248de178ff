"""Runs of a study: done once, wherever they are done and whatever is killed."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from toy_study import Watched, make_runs, read_log, squares, study, wait_for

from hybridonn.core.errors import ArtefactError, SpecError
from hybridonn.studies import engine
from hybridonn.studies.engine import StudyError, say_time
from hybridonn.studies.processes import _Pool
from hybridonn.studies.rows import ROWS, name_row, open_rows
from hybridonn.studies.runs import Run
from hybridonn.studies.workers import HERE, Workers

TWO = Workers(2)


@pytest.mark.parametrize("workers", [HERE, TWO], ids=["here", "processes"])
def test_each_run_is_done_once_and_its_row_is_kept(tmp_path, workers):
    found = study(tmp_path / "s", make_runs(6), workers)
    assert squares(found) == {name_row(k): k**2 for k in range(6)}
    assert list(found) == [name_row(k) for k in range(6)]  # in the order in which they were asked
    assert found[name_row(3)]["tenth"] == 3 / 10
    assert read_log(tmp_path / "s", "done") == [f"done {k}" for k in range(6)]
    processes = {value["process"] for value in found.values()}
    assert (os.getpid() in processes) == (workers is HERE)
    assert study(tmp_path / "s", make_runs(8), workers).items() >= found.items()
    assert read_log(tmp_path / "s", "done") == [f"done {k}" for k in range(8)]
    assert not list((tmp_path / "s" / ROWS).rglob("*.lock"))


def test_a_worker_opens_what_runs_share_once(tmp_path):
    study(tmp_path / "s", make_runs(6), TWO)
    assert len(read_log(tmp_path / "s", "opened")) <= 2


def test_what_a_library_prints_does_not_mix_with_the_answers(tmp_path):
    assert len(study(tmp_path / "s", make_runs(2, harm_0="talk"), Workers(1))) == 2


def test_the_rows_come_in_the_order_that_was_asked_for_not_in_that_of_their_ends(tmp_path):
    runs = make_runs(3)
    runs[0].arguments["seconds"] = 0.5
    assert list(study(tmp_path / "s", runs, TWO)) == [run.key for run in runs]
    assert read_log(tmp_path / "s", "done")[-1] == "done 2"


@pytest.mark.parametrize("workers", [HERE, TWO], ids=["here", "processes"])
def test_a_fault_of_one_run_does_not_lose_the_others(tmp_path, workers):
    runs = make_runs(5, harm_1="training", harm_3="training")
    sentence = "2 of 5 runs failed, all others are done: run 1, run 3: the loss is not finite. What"
    with pytest.raises(StudyError, match=sentence):
        study(tmp_path / "s", runs, workers)
    assert read_log(tmp_path / "s", "done") == ["done 0", "done 2", "done 4"]
    assert len(study(tmp_path / "s", make_runs(5), workers)) == 5  # mended
    assert read_log(tmp_path / "s", "done") == [f"done {k}" for k in range(5)]


def test_a_fault_of_the_program_is_told_with_its_traceback(tmp_path):
    with pytest.raises(StudyError, match="run 0: it ended with KeyError: 'bug'") as error:
        study(tmp_path / "s", make_runs(2, harm_0="bug"), Workers(1))
    assert 'raise KeyError("bug")' in str(error.value.__cause__)
    with pytest.raises(KeyError):
        study(tmp_path / "t", make_runs(2, harm_0="bug"))


@pytest.mark.parametrize("workers", [HERE, Workers(1)], ids=["here", "processes"])
def test_a_full_disk_does_not_take_all_runs_that_are_left(tmp_path, workers):
    runs = make_runs(9, **{f"harm_{k}": "disk" for k in range(2, 9)})
    with pytest.raises(StudyError, match="3 of 9 runs failed, the study was stopped: run 2, run 3"):
        study(tmp_path / "s", runs, workers)
    assert len(read_log(tmp_path / "s", "begun")) == 5
    assert len(study(tmp_path / "s", make_runs(9))) == 9


def test_a_killed_worker_is_replaced_and_its_run_done_again(tmp_path):
    progress = Watched()
    found = study(tmp_path / "s", make_runs(5, harm_2="kill once"), TWO, progress=progress)
    assert squares(found) == {name_row(k): k**2 for k in range(5)}
    assert read_log(tmp_path / "s", "done") == [f"done {k}" for k in range(5)]
    assert read_log(tmp_path / "s", "begun").count("begun 2") == 2
    said = "run 2: the process that did it ended with SIGKILL; the run is done again"
    assert progress.said == [said]


def test_a_run_that_kills_every_worker_is_given_up(tmp_path):
    with pytest.raises(StudyError, match=r"run 1: .* SIGKILL, 3 times; it may need more memory"):
        study(tmp_path / "s", make_runs(3, harm_1="kill"), Workers(1))
    assert read_log(tmp_path / "s", "done") == ["done 0", "done 2"]


STUDY = """
import json, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run behind &
from pathlib import Path
from hybridonn.core.progress import Silent
from hybridonn.studies.engine import map_runs
from hybridonn.studies.rows import name_row, open_rows
from hybridonn.studies.runs import Run, Work
from hybridonn.studies.workers import Workers
folder, seconds = Path(sys.argv[1]), float(sys.argv[2])
rows = open_rows(folder, "toy", {"factor": 1})
work = Work("toy", "toy_study:open_toy", "toy_study:do_toy", {"factor": 1})
runs = [Run(name_row(k), f"run {k}", {"number": k, "seconds": seconds if k > 1 else 0.3})
        for k in range(6)]
try:
    map_runs(work, runs, rows, folder, Silent(), Workers(2))
except KeyboardInterrupt:
    sys.exit(130)
"""


def start_study(folder, seconds=0.3):
    """Start a study of six runs; the last four of them take the seconds that are stated."""
    folder.mkdir()
    path = os.pathsep.join(filter(None, sys.path))
    words = [sys.executable, "-c", STUDY, str(folder), str(seconds)]
    return subprocess.Popen(words, env=os.environ | {"PYTHONPATH": path}, start_new_session=True)


def list_workers(folder):
    if not (folder / "log.txt").exists():
        return set()
    return {int(line.split()[0]) for line in (folder / "log.txt").read_text().splitlines()}


def is_running(process):
    try:
        return "Z" not in Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("how", ["kill", "interrupt"])
def test_a_study_that_ends_early_goes_on_where_it_was(tmp_path, how):
    folder = tmp_path / "s"
    process = start_study(folder, seconds=20)  # it is still at work when the signal arrives
    rows = folder / ROWS
    wait_for(lambda: len(list(rows.rglob("*.json"))) >= 3)  # the settings and two runs
    process.kill() if how == "kill" else os.killpg(process.pid, signal.SIGINT)
    assert process.wait(30) == (-signal.SIGKILL if how == "kill" else 130)
    wait_for(lambda: not any(map(is_running, list_workers(folder))), 10)
    kept = {path: path.read_bytes() for path in rows.rglob("*.json")}
    assert len(kept) >= 3
    found = study(folder, make_runs(6), TWO)
    assert squares(found) == {name_row(k): k**2 for k in range(6)}
    assert {path: path.read_bytes() for path in kept} == kept
    done = read_log(folder, "done")
    assert sorted(set(done)) == [f"done {k}" for k in range(6)]
    assert len(done) == 6


def test_a_run_that_another_process_still_does_is_waited_for(tmp_path):
    folder = tmp_path / "s"
    process = start_study(folder)
    wait_for(lambda: folder.joinpath("log.txt").exists() and read_log(folder, "begun"))
    found = study(folder, make_runs(6), TWO)  # as after a scheduler that lost its client
    assert process.wait(60) == 0
    assert read_log(folder, "done") == [f"done {k}" for k in range(6)]
    assert len(found) == 6


def read_files(folder):
    return {path: path.read_bytes() for path in folder.rglob("*.json")}


def test_other_settings_are_refused_and_what_is_finished_is_kept(tmp_path):
    study(tmp_path / "s", make_runs(3))
    kept = read_files(tmp_path / "s" / ROWS)
    with pytest.raises(ArtefactError, match="factor is 1 there and 2 here"):
        study(tmp_path / "s", make_runs(3), settings={"factor": 2})
    assert read_files(tmp_path / "s" / ROWS) == kept


@pytest.mark.parametrize(
    ("inputs", "sentence"),
    [
        ({"missing": True}, "run ., run ., run .: no data here"),
        ({"found": {"images": "abc"}}, 'images is "abc" there and not stated here; give it the'),
        ({"factor": 2}, "other files than the study.*factor is 2 there and 1 here"),
    ],
)
def test_a_worker_that_finds_other_data_does_no_run(tmp_path, inputs, sentence):
    with pytest.raises(StudyError, match=f"3 of 5 runs failed, the study was stopped.*{sentence}"):
        study(tmp_path / "s", make_runs(5), TWO, **inputs)
    assert "begun" not in (tmp_path / "s" / "log.txt").read_text()


def test_a_worker_with_other_software_does_no_run(tmp_path, monkeypatch):
    versions = {"hybridonn": "9.0", "torch": "2.0"}
    monkeypatch.setattr(engine, "list_versions", lambda: versions)
    with pytest.raises(StudyError, match=r'worker is not that .* and "9\.0" here, torch is "'):
        study(tmp_path / "s", make_runs(3), Workers(1))


def test_progress_is_over_all_runs_and_tells_the_time_left(tmp_path):
    study(tmp_path / "s", make_runs(2))
    progress, written = Watched(), []
    study(tmp_path / "s", make_runs(6), progress=progress, changed=lambda: written.append(1))
    assert progress.bars == [("toy: runs", 6, 2)]
    assert progress.steps == [f"run {k}; 0 s left" for k in range(2, 6)]
    assert len(written) == 1  # the tables, at the end of what takes no time
    assert [say_time(s) for s in (40, 200, 9000)] == ["40 s", "3 min", "2.5 h"]


def test_runs_of_a_group_stay_with_a_worker():
    runs = [Run(str(k), f"run {k}", group="ab"[k % 2]) for k in range(6)]
    pool = _Pool([SimpleNamespace(run=run) for run in runs])
    taken = [pool._take(number) for number in (0, 1, 1, 0, 1, 1)]
    # The first worker does a, the second b, and then what is left.
    assert [job.run.key for job in taken] == ["0", "1", "3", "2", "5", "4"]
    assert pool._take(0) is None


@pytest.mark.parametrize(
    "harm", [lambda path: path.write_text('{"key"'), lambda path: path.unlink()]
)
def test_a_damaged_row_is_measured_again(tmp_path, harm):
    study(tmp_path / "s", make_runs(3))
    rows = open_rows(tmp_path / "s", "toy", {"factor": 1})
    harm(rows.file(name_row(1)).path)
    assert len(study(tmp_path / "s", make_runs(3))) == 3
    assert read_log(tmp_path / "s", "done") == ["done 0", "done 1", "done 1", "done 2"]


def test_a_changed_row_is_no_row(tmp_path):
    study(tmp_path / "s", make_runs(1))
    [path] = (tmp_path / "s" / ROWS).glob("*/*.json")
    tree = json.loads(path.read_text())
    path.write_text(json.dumps(tree | {"value": {"square": 5}}))
    assert squares(study(tmp_path / "s", make_runs(1))) == {name_row(0): 0}


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"scheduler": "tls://a:1", "count": 2}, "--scheduler tls://a:1: .* leave --workers out"),
        ({"scheduler": "tls://a:1", "slurm": True}, "leave --slurm out"),
        ({"slurm": True}, "--slurm: say with --workers how many"),
    ],
)
def test_options_that_contradict_one_another(options, sentence):
    with pytest.raises(SpecError, match=sentence):
        Workers(**options)
