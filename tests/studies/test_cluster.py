"""Runs of a study on a Dask cluster: closed to others, and nothing finished is lost."""

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from types import SimpleNamespace

import pytest
from toy_study import Watched, make_runs, read_log, squares, study, wait_for
from typer.testing import CliRunner

from hybridonn.cli.app import app
from hybridonn.core.errors import ArtefactError, SpecError
from hybridonn.core.files import read_json, write_json
from hybridonn.studies import cluster
from hybridonn.studies.cluster import ADDRESS, CERTIFICATE, KEY, ClusterError, read_cluster
from hybridonn.studies.engine import StudyError
from hybridonn.studies.rows import ROWS, name_row
from hybridonn.studies.runs import Run
from hybridonn.studies.workers import HERE, Workers


def start(*words):
    path = os.pathsep.join(filter(None, sys.path))
    return subprocess.Popen(
        [sys.executable, "-m", "hybridonn", "cluster", *words],
        env=os.environ | {"PYTHONPATH": path},
        start_new_session=True,
    )


@contextmanager
def running_cluster(folder, host="127.0.0.1", workers=2):
    """Folder and processes of a scheduler and its workers."""
    pytest.importorskip("distributed")
    processes = [start("scheduler", str(folder), "--port", "0", "--host", host)]
    try:
        wait_for((folder / ADDRESS).exists)
        processes.append(start("worker", str(folder), "--workers", str(workers)))
        yield folder, processes
    finally:
        for process in reversed(processes):
            process.send_signal(signal.SIGINT)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    with running_cluster(tmp_path_factory.mktemp("cluster") / "c") as found:
        yield found


def test_runs_are_done_once_by_workers_that_only_this_machine_reaches(tmp_path, shared):
    import psutil

    folder, processes = shared
    progress, workers = Watched(), Workers(scheduler=str(folder))
    found = study(tmp_path / "s", make_runs(6), workers, progress=progress)
    assert squares(found) == {name_row(k): k**2 for k in range(6)}
    assert os.getpid() not in {value["process"] for value in found.values()}
    assert progress.said[0].startswith("the dashboard of the cluster: http://127.0.0.1:")
    study(tmp_path / "s", make_runs(8), workers)
    assert read_log(tmp_path / "s", "done") == [f"done {k}" for k in range(8)]
    assert len(read_log(tmp_path / "s", "opened")) <= 2
    parents = [psutil.Process(process.pid) for process in processes]
    family = [*parents, *(child for one in parents for child in one.children(recursive=True))]
    listening = [
        one.laddr.ip
        for process in family
        for one in process.net_connections("inet")
        if one.status == psutil.CONN_LISTEN
    ]
    assert len(listening) >= 4
    assert set(listening) == {"127.0.0.1"}


def test_a_fault_and_a_killed_worker_do_not_lose_the_others(tmp_path, shared):
    workers = Workers(scheduler=str(shared[0]))
    runs = make_runs(6, harm_1="training", harm_2="kill once")
    with pytest.raises(StudyError, match="1 of 6 runs failed, all others are done: run 1: the los"):
        study(tmp_path / "s", runs, workers)
    assert sorted(set(read_log(tmp_path / "s", "done"))) == [f"done {k}" for k in (0, 2, 3, 4, 5)]
    assert len(read_log(tmp_path / "s", "done")) == 5


def test_a_worker_that_finds_other_data_names_itself(tmp_path, shared):
    workers = Workers(scheduler=str(shared[0]))
    with pytest.raises(StudyError, match=r'images is "abc" there .* \(on the worker tcp://127'):
        study(tmp_path / "s", make_runs(5), workers, found={"images": "abc"})
    assert "begun" not in (tmp_path / "s" / "log.txt").read_text()


def test_a_worker_with_other_software_is_refused_before_any_run(tmp_path, shared, monkeypatch):
    versions = {"hybridonn": "9.0", "torch": "2.0"}
    monkeypatch.setattr(cluster, "list_versions", lambda: versions)
    sentence = r'worker tcp://127\S+ has other software .*: hybridonn is "0\.1\.0" there and "9\.0"'
    with pytest.raises(ClusterError, match=sentence):
        study(tmp_path / "s", make_runs(3), Workers(scheduler=str(shared[0])))
    assert not (tmp_path / "s" / "log.txt").exists()


def test_a_scheduler_that_is_not_there_is_said_in_a_sentence(tmp_path, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr(cluster, "CONNECT_S", 0.5)
    with pytest.raises(ClusterError, match=r"no scheduler answers at tcp://127\.0\.0\.1:1 \(") as e:
        study(tmp_path / "s", make_runs(2), Workers(scheduler="tcp://127.0.0.1:1"))
    assert "\n" not in str(e.value)


def test_a_cluster_that_is_not_there_is_refused_before_anything_is_made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    for options, sentence in (
        (["--scheduler", "tcp://127.0.0.1:1"], "no scheduler answers at tcp://127.0.0.1:1"),
        (["--slurm", "--workers", "2"], "--slurm: there is no sbatch on this machine"),
    ):
        found = CliRunner().invoke(app, ["compare", "--out", "s", *options])
        assert found.exit_code != 0
        assert sentence in str(found.exception or found.output)
        assert not (tmp_path / "s").exists()


def test_a_killed_scheduler_loses_no_finished_run(tmp_path):
    folder = tmp_path / "s"
    runs = [Run(name_row(k), f"run {k}", {"number": k, "seconds": 0.5}) for k in range(8)]
    with running_cluster(tmp_path / "c", workers=1) as (place, processes):

        def kill():
            wait_for(lambda: len(list((folder / ROWS).rglob("*.json"))) >= 3)
            processes[0].kill()

        killer = Thread(target=kill)
        killer.start()
        with pytest.raises(ClusterError, match="the scheduler is gone; what is finished is kept"):
            study(folder, runs, Workers(scheduler=str(place)))
        killer.join()
    kept = {path: path.read_bytes() for path in (folder / ROWS).rglob("*.json")}
    assert len(kept) >= 3
    assert squares(study(folder, runs, HERE)) == {name_row(k): k**2 for k in range(8)}
    assert {path: path.read_bytes() for path in kept} == kept
    assert read_log(folder, "done") == [f"done {k}" for k in range(8)]


def test_a_scheduler_that_goes_while_it_hands_over_an_answer_is_gone():
    class Lost:
        status = "finished"

        def result(self):
            raise ConnectionResetError("Connection reset by peer")

    with pytest.raises(ClusterError, match="the scheduler is gone"):
        cluster._read_fault(Lost())


def test_between_machines_everything_is_encrypted(tmp_path):
    pytest.importorskip("cryptography")
    with running_cluster(tmp_path / "c", host="0.0.0.0", workers=1) as (folder, _):
        address = read_json(folder / ADDRESS)["address"]
        assert address.startswith("tls://")
        for name in (CERTIFICATE, KEY):
            assert (folder / name).stat().st_mode & 0o777 == 0o600
        assert folder.stat().st_mode & 0o777 == 0o700
        assert len(study(tmp_path / "s", make_runs(3), Workers(scheduler=str(folder)))) == 3
        with pytest.raises(ClusterError, match="no scheduler answers at tls"):  # without the key
            study(tmp_path / "t", make_runs(3), Workers(scheduler=address))


SBATCH = """#!/bin/sh
export PYTHONPATH={path}
cp "$1" {log}.$$  # as SLURM does: the caller takes the script away
sh {log}.$$ >> {log} 2>&1 &
echo "Submitted batch job $!"
"""


def test_slurm_jobs_are_started_and_ended(tmp_path, monkeypatch):
    pytest.importorskip("dask_jobqueue")
    monkeypatch.chdir(tmp_path)
    path = os.pathsep.join(filter(None, sys.path))
    for name, text in (
        ("sbatch", SBATCH.format(path=path, log=tmp_path / "log")),
        ("scancel", '#!/bin/sh\nkill "$1" 2>/dev/null\n'),
    ):
        (tmp_path / "bin").mkdir(exist_ok=True)
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    found = study(tmp_path / "s", make_runs(4), Workers(2, slurm=True))
    assert squares(found) == {name_row(k): k**2 for k in range(4)}
    processes = {value["process"] for value in found.values()}
    assert os.getpid() not in processes
    wait_for(lambda: not any(Path(f"/proc/{one}").exists() for one in processes))
    assert not list((tmp_path / "s").glob("*slurm*"))


@pytest.mark.parametrize(
    ("sbatch", "sentence"),
    [
        (None, "there is no sbatch on this machine"),
        ("#!/bin/sh\nexit 1\n", "sbatch took 0 of 2 jobs; try sbatch by hand, and state queue"),
    ],
)
def test_without_slurm_it_is_said_in_a_sentence(tmp_path, monkeypatch, sbatch, sentence):
    pytest.importorskip("dask_jobqueue")
    if sbatch:
        (tmp_path / "sbatch").write_text(sbatch)
        (tmp_path / "sbatch").chmod(0o755)
    monkeypatch.setattr(cluster, "SUBMIT_S", 0.5)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(ClusterError, match=f"--slurm: {sentence}"):
        study(tmp_path / "s", make_runs(4), Workers(2, slurm=True))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "tcp://10.0.0.5:8786",
            "be encrypted, since who reaches a scheduler can run anything",
        ),
        ("tcp://node7:8786", "must be encrypted"),
        ("http://127.0.0.1:8786", "allowed is tls://host:port"),
        ("tls://", "allowed is tls://host:port"),
    ],
)
def test_addresses_that_are_not_allowed(text, sentence):
    with pytest.raises(SpecError, match=sentence):
        read_cluster(text)


@pytest.mark.parametrize("content", [None, [], {"address": 3}, {"address": "tcp://8.8.8.8:1"}])
def test_folders_of_no_scheduler(tmp_path, content):
    if content is not None:
        write_json(tmp_path / ADDRESS, content)
    with pytest.raises((ArtefactError, SpecError), match="--scheduler"):
        read_cluster(str(tmp_path))


def test_this_machine_needs_no_encryption(tmp_path):
    for address in ("tcp://127.0.0.1:8786", "tcp://localhost:8786", "tcp://[::1]:8786"):
        assert read_cluster(address) == (address, None)
    write_json(tmp_path / ADDRESS, {"address": "tls://10.0.0.5:8786"})
    assert read_cluster(str(tmp_path)) == ("tls://10.0.0.5:8786", tmp_path)


def test_a_worker_with_several_threads_is_refused():
    found = {"workers": {"tcp://127.0.0.1:5": {"nthreads": 4}}}
    client = SimpleNamespace(dashboard_link="", scheduler_info=lambda **_: found)
    with pytest.raises(ClusterError, match=r"tcp://127\.0\.0\.1:5 has 4 threads, which would"):
        cluster._refuse_unfit(client, lambda line: None)


def test_a_cluster_that_gets_no_worker_is_said_in_a_sentence(monkeypatch):
    def wait(*_, **__):
        raise TimeoutError

    client = SimpleNamespace(
        dashboard_link="",
        scheduler=SimpleNamespace(address="tcp://127.0.0.1:1"),
        scheduler_info=lambda **_: {"workers": {}},
        wait_for_workers=wait,
    )
    with pytest.raises(ClusterError, match="has had no worker for 600 s; start one with"):
        cluster._refuse_unfit(client, lambda line: None)


@pytest.mark.parametrize(
    "workers", [Workers(scheduler="tcp://127.0.0.1:1"), Workers(1, slurm=True)]
)
def test_what_is_not_installed_is_said_in_a_sentence(tmp_path, monkeypatch, workers):
    for name in ("distributed", "dask_jobqueue.slurm"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ClusterError, match=r"a cluster needs .*; install it with: pip install 'hy"):
        study(tmp_path / "s", make_runs(2), workers)
