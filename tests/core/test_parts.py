"""What is being written, what killed processes left, and who comes first."""

import os
import subprocess
import sys
import time
from multiprocessing import get_context

import pytest

from hybridonn.core import parts
from hybridonn.core.parts import hold, part_of, put_folder, scratch_folder, sweep


@pytest.fixture(scope="module")
def gone():
    """The number of a process that is no more."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def left_by(path, process, host=None):
    here = part_of(path).name
    name = here.replace(f".{os.getpid()}@", f".{process}@")
    return path.with_name(name.replace(parts._host(), host) if host else name)


def test_what_a_killed_process_left_is_swept_and_nothing_else(tmp_path, gone):
    target = tmp_path / "name.json"
    kept = [
        part_of(target),  # ours
        left_by(target, os.getppid()),  # of one that runs
        left_by(target, gone, "another-machine"),
        tmp_path / ".student.part",
        tmp_path / ".hidden",
        target,
    ]
    for path in kept:
        path.touch()
    folder = left_by(tmp_path / "folder", gone)
    (folder / "inside").mkdir(parents=True)
    left_by(target, gone).touch()
    sweep(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted(kept)


def test_after_a_week_another_machine_is_believed_to_be_gone_too(tmp_path):
    path = left_by(tmp_path / "x", 1, "another-machine")
    path.touch()
    old = time.time() - 8 * 24 * 3600
    os.utime(path, (old, old))
    sweep(tmp_path)
    assert not path.exists()


def test_a_scratch_folder_lasts_as_long_as_its_context(tmp_path, gone):
    left_by(tmp_path / "below" / "other", gone).mkdir(parents=True)
    with scratch_folder(tmp_path / "below" / "name") as part:
        assert [path.name for path in part.parent.iterdir()] == [part.name]
        (part / "file").touch()
    assert not list((tmp_path / "below").iterdir())


def test_a_lock_is_held_by_one(tmp_path):
    path = tmp_path / ".lock"
    with hold(path, wait=False) as first, hold(path, wait=False) as second:
        assert (first, second) == (True, False)
    with hold(tmp_path / ".lock", wait=False) as third:
        assert third


HOLDER = """
import sys, time
from pathlib import Path
from hybridonn.core.parts import hold
with hold(Path(sys.argv[1]), wait=False):
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_lock_of_a_killed_process_is_free(tmp_path):
    words = [sys.executable, "-c", HOLDER, str(tmp_path / ".lock")]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        with hold(tmp_path / ".lock", wait=False) as held:
            assert not held
        process.kill()
    with hold(tmp_path / ".lock", wait=False) as held:
        assert held


def is_whole(folder):
    return (folder / "a").exists() and (folder / "b").exists()


def put_often(cache, number, results):
    for turn in range(60):
        folder = cache / f"{turn}"
        with scratch_folder(folder) as part:
            (part / "a").touch()
            (part / "b").touch()
            put_folder(part, folder, cache / ".lock", is_whole)
        results.put(is_whole(folder))


def test_a_folder_that_several_processes_put_is_never_away(tmp_path):
    context = get_context("fork" if sys.platform == "linux" else "spawn")
    results = context.Queue()
    some = [context.Process(target=put_often, args=(tmp_path, n, results)) for n in range(4)]
    for process in some:
        process.start()
    found = [results.get(timeout=60) for _ in range(4 * 60)]
    for process in some:
        process.join()
    assert all(found)
    assert sorted(path.name for path in tmp_path.glob(".*")) == [".lock"]


def test_a_damaged_folder_is_replaced(tmp_path):
    (tmp_path / "name").mkdir()
    (tmp_path / "name" / "a").touch()
    with scratch_folder(tmp_path / "name") as part:
        (part / "a").touch()
        (part / "b").touch()
        put_folder(part, tmp_path / "name", tmp_path / ".lock", is_whole)
    assert is_whole(tmp_path / "name")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "name"]
