"""What is compiled lies in a hidden folder; those of killed processes are removed."""

import os
import subprocess
import sys

import pytest

from hybridonn.tangent.empirical.compiled.scratch import scratch_folder


def test_it_is_there_as_long_as_it_is_used(tmp_path):
    with pytest.raises(KeyError), scratch_folder(tmp_path) as scratch:
        (scratch / "part").write_text("x")
        assert scratch.stat().st_mode & 0o077 == 0
        assert scratch.name.startswith(".")
        raise KeyError
    assert not list(tmp_path.iterdir())


def test_only_what_killed_processes_left_is_removed(tmp_path):
    with scratch_folder(tmp_path) as mine:
        name = mine.name
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    left = name.replace(f".{os.getpid()}@", f".{ended.pid}@")
    alive = name.replace(f".{os.getpid()}@", f".{os.getppid()}@")
    elsewhere = left.replace("@", "@another-")
    for each in (left, alive, elsewhere, name, ".x@y.part", "lib.so"):
        (tmp_path / each).mkdir()
        (tmp_path / each / "part").write_text("x")
    with scratch_folder(tmp_path) as mine:
        assert not list(mine.iterdir())
    kept = sorted(path.name for path in tmp_path.iterdir())
    assert kept == sorted([alive, elsewhere, ".x@y.part", "lib.so"])
