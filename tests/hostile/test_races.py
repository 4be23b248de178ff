"""Several processes that use one cache, or one run folder, at the same moment."""

import os
import time
import traceback

import numpy as np
import pytest
from killing.commands import execute
from killing.outcome import compare, take_stock
from killing.trials import run_undisturbed
from test_kill import SHORT

from hybridonn.data.store import create_array, find_stored, store
from hybridonn.pipeline.stage import finish

PROCESSES, ROUNDS = 4, 10


def at_once(work, count=PROCESSES):
    """Call a function with 0, 1 ... in as many forks of this process; they begin together."""
    start = time.monotonic() + 0.02
    children = []
    for number in range(count):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                time.sleep(max(0, start - time.monotonic()))
                work(number)
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)
        children.append(child)
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("HYBRIDONN_CACHE", str(tmp_path / "cache"))


def test_the_same_pictures_are_stored_by_several_at_once(tmp_path):
    def fill(part):
        create_array(part / "images.npy", (3, 4))[:] = 7
        return {"kept": 3}

    for number in range(ROUNDS):
        assert at_once(lambda _, key=str(number): store(key, fill)) == [0] * PROCESSES
        assert np.array_equal(find_stored(str(number)).arrays["images"], np.full((3, 4), 7))
    hidden = [path for path in (tmp_path / "cache" / "pictures").iterdir() if ".part" in path.name]
    assert not hidden


def test_the_same_stage_is_shared_by_several_runs_at_once(tmp_path):
    def work(part):
        (part / "artefact").write_text("x" * 1000)
        return {"number": 1}

    for number in range(ROUNDS):

        def run(own, mark=str(number)):
            finished = finish(tmp_path / f"run-{mark}-{own}" / "stage", mark, work, "kind")
            assert (finished.folder / "artefact").read_text() == "x" * 1000

        assert at_once(run) == [0] * PROCESSES
        assert finish(tmp_path / f"late-{number}" / "stage", str(number), work, "kind").reused
    assert not [path for path in (tmp_path / "cache").rglob("*") if ".part" in path.name]


def test_two_whole_runs_at_once_share_a_cache(warm, tmp_path, monkeypatch):
    monkeypatch.setenv("HYBRIDONN_COMPILED", "0")
    scenario = SHORT[0][0]
    reference = run_undisturbed(scenario, tmp_path / "undisturbed")
    homes = [tmp_path / "a", tmp_path / "b"]
    for home in homes:
        home.mkdir()
        (home / "cache").symlink_to(tmp_path / "cache")
    (tmp_path / "cache").mkdir()
    assert at_once(lambda n: execute(homes[n], scenario.command).status == 0 or 1 / 0, 2) == [0, 0]
    for home in homes:
        (home / "cache").unlink()
        found = take_stock(home)
        wanted = {n: c for n, c in reference.stock.items() if not n.startswith("cache/")}
        assert not any(compare(found, wanted).values())
    left = [path for path in (tmp_path / "cache").rglob("*") if ".part" in path.name]
    assert not left


def test_a_run_folder_has_one_owner(warm, tmp_path, monkeypatch):
    monkeypatch.setenv("HYBRIDONN_COMPILED", "0")
    scenario = SHORT[0][0]
    said = tmp_path / "said"
    said.mkdir()
    home = tmp_path / "home"
    home.mkdir()

    def run(number):
        ended = execute(home, scenario.command)
        (said / str(number)).write_text(f"{ended.status} {ended.said}")

    assert at_once(run, 3) == [0, 0, 0]
    texts = sorted(path.read_text() for path in said.iterdir())
    assert texts[0].startswith("0 ")  # one has done it
    for text in texts:
        assert text.startswith("0 ") or "in use by another hybridonn command" in text
    reference = run_undisturbed(scenario, tmp_path / "undisturbed")
    assert not any(compare(take_stock(home), reference.stock).values())
