"""What a user meets first: ``import hybridonn`` and ``hybridonn --help``."""

import importlib
import subprocess
import sys
import time

import pytest

import hybridonn


def best_of_three(*arguments):
    """The shortest of three times, in seconds, that a new Python process takes."""
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def test_the_import_takes_less_than_0_3_seconds():
    idle = best_of_three("-c", "pass")
    assert best_of_three("-c", "import hybridonn") - idle < 0.3


def test_the_help_takes_less_than_a_second():
    idle = best_of_three("-c", "pass")
    assert best_of_three("-m", "hybridonn", "--help") - idle < 1.0


@pytest.mark.parametrize("name", hybridonn.__all__)
def test_every_public_name_is_there_and_documented(name):
    assert getattr(hybridonn, name).__doc__


@pytest.mark.parametrize("room", ["optics", "networks", "tangent"])
def test_every_public_name_of_a_room_is_there_and_documented(room):
    front = importlib.import_module(f"hybridonn.{room}")
    assert front.__all__ == sorted(front.__all__)
    assert set(front.__all__) <= set(dir(front))
    for name in front.__all__:
        assert getattr(front, name).__module__.startswith(f"hybridonn.{room}.")
        assert getattr(front, name).__doc__
    with pytest.raises(AttributeError, match=f"'hybridonn.{room}' has no attribute 'absent'"):
        _ = front.absent


@pytest.mark.parametrize("room", ["optics", "networks"])
def test_a_room_imports_nothing_heavy_before_it_is_used(room):
    code = f"import sys, hybridonn.{room}; print({{'torch', 'numpy'}} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"
