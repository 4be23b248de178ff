"""The main job by its own command, on the real digits: whole, killed, changed, wrong."""

import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hybridonn.pipeline.result_keys import list_undescribed

QUICK = ["--set", "teacher.training.epochs=4", "--set", "training.epochs=6"]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


def command(home, *words, cache="cache"):
    environment = os.environ | {
        "HYBRIDONN_CACHE": str(home / cache),
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "100",
    }
    return subprocess.Popen(
        [sys.executable, "-m", "hybridonn", *map(str, words)],
        cwd=home,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def call(home, *words, cache="cache"):
    process = command(home, *words, cache=cache)
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


@pytest.fixture(scope="module")
def finished(home):
    status, out, err = call(home, "run", "--out", "whole", *QUICK)
    assert status == 0, err
    return home / "whole", out


def test_the_whole_job(finished):
    folder, out = finished
    results = json.loads((folder / "results.json").read_text())
    assert list_undescribed(results) == []
    assert results["layout"]["kernels"] == 8
    assert results["layout"]["sites"] == 16
    assert results["teacher"]["accuracy"] > 0.9
    assert results["student"]["method"] == "ntkd"
    assert results["student"]["accuracy"] > 0.85
    assert results["student"]["seconds"] > 0
    assert results["student"]["parameters"] == {"optical": 200, "digital": 8914}
    assert out.splitlines()[-1].endswith("report.html")
    assert f"{results['student']['accuracy']:.2%}".replace("%", " %") in out
    for name in ("spec.yaml", "record.json", "report.html"):
        assert (folder / name).stat().st_size > 100
    assert not [p for p in folder.rglob("*") if p.suffix in {".pt", ".pkl", ".pth"}]
    assert not list(folder.rglob(".*.part"))


def test_the_same_command_again_does_nothing_twice(finished, home):
    folder, _ = finished
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*.safetensors")}
    status, _, err = call(home, "run", "--out", "whole", *QUICK)
    assert status == 0
    assert "kept from before: layout, estimate, teacher, teacher targets, student" in err
    assert before == {p: p.stat().st_mtime_ns for p in folder.rglob("*.safetensors")}


def test_a_changed_spec_redoes_only_what_it_touches(finished, home):
    folder, _ = finished
    shutil.copytree(folder, home / "changed")
    change = ["--set", "training.epochs=2"]
    status, _, err = call(home, "run", "--out", "changed", *QUICK, *change)
    assert status == 0
    assert "kept from before: layout, estimate, teacher, teacher targets\n" in err


@pytest.mark.slow
def test_a_run_killed_again_and_again_ends_with_the_same_weights(finished, home):
    folder, _ = finished
    dice = random.Random(0)
    for stage in ("teacher", "teacher", "student", "student"):
        process = command(home, "run", "--out", "killed", *QUICK, cache="other-cache")
        done = home / "killed" / stage  # a fast machine is through before it is killed twice
        checkpoint = done.with_name(f".{stage}.part") / "checkpoint.safetensors"
        wait_for(lambda at=checkpoint, done=done: written(at) or done.exists())
        time.sleep(dice.random() / 10)
        assert process.poll() is None, process.stderr.read()
        process.kill()  # SIGKILL
        process.communicate()
    status, _, err = call(home, "run", "--out", "killed", *QUICK, cache="other-cache")
    assert status == 0, err
    for name in ("teacher/weights.safetensors", "student/weights.safetensors"):
        assert (home / "killed" / name).read_bytes() == (folder / name).read_bytes()


def written(path):
    """Whether a file has been written since this was first asked of it."""
    now = path.stat().st_mtime_ns if path.exists() else None
    first = SEEN.setdefault(path, now)
    return now is not None and now != first and SEEN.pop(path, True)


SEEN: dict[Path, int | None] = {}


def wait_for(condition, seconds=120):
    deadline = time.time() + seconds
    while not condition():
        assert time.time() < deadline, "it never came"
        time.sleep(0.005)


def test_a_second_command_on_the_same_folder_waits_for_nobody(home):
    first = command(home, "run", "--out", "busy", *QUICK, "--set", "training.epochs=500")
    wait_for((home / "busy" / "layout").exists)
    status, _, err = call(home, "run", "--out", "busy", *QUICK)
    first.kill()
    first.communicate()
    assert status == 1
    assert "in use by another hybridonn command" in err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--set", "student.kernels=9"], "make it 4.89 x 4 mm"),
        (["--set", "student.kernals=9"], "did you mean student.kernels?"),
        (["--set", "data.name=idx", "--set", "data.folder=nowhere"], "nowhere"),
        (["no-spec.yaml"], "cannot read no-spec.yaml"),
        (["--set", "training.learning_rate=1e30"], "not finite at step"),
        (["--set", "data.train_images=5"], "5"),
        (["--set", "student.pooled_size=9"], "student.pooled_size is 9"),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_earlier_results(finished, home, words, sentence):
    folder, _ = finished
    before = (folder / "results.json").read_bytes()
    status, out, err = call(home, "run", "--out", "whole", *QUICK, *words)
    assert status == 1
    assert sentence in " ".join(err.split())
    assert "Traceback" not in out + err
    assert err.strip().splitlines()[-1].startswith("error: ") or "error: " in err
    assert (folder / "results.json").read_bytes() == before
    assert (folder / "student" / "weights.safetensors").exists()


@pytest.mark.parametrize("words", ["student.pooled_size=9", "student.kernels=9"])
def test_a_refused_estimate_leaves_no_folder(home, words):
    status, _, err = call(home, "estimate", "--out", "refused", *QUICK, "--set", words)
    assert status == 1
    assert "error: " in err
    assert not (home / "refused").exists()


def test_a_lens_is_estimated_beside_the_design_which_stays(home):
    small = ["--set", "data.train_images=200", "--set", "estimate.test_images=100"]
    assert call(home, "estimate", *small)[0] == 0
    design = (home / "runs" / "digits" / "results.json").read_bytes()
    status, out, err = call(home, "estimate", *small, "--optics", "lens", "--json")
    assert status == 0, err
    (curve,) = json.loads(out)["files"]
    folder = Path(curve).parents[1]
    assert folder == Path("runs/digits-lens")
    found = json.loads((home / folder / "results.json").read_text())
    assert json.loads(out)["results"] == found
    assert list_undescribed(found) == []
    assert found["estimate"]["kernels"] == "lens"
    assert (home / "runs" / "digits" / "results.json").read_bytes() == design
    # The spec that is written there is that of the lens.
    again = call(home, "estimate", folder / "spec.yaml", "--out", "again", "--json")
    assert json.loads(again[1])["results"] == found
    status, _, err = call(home, "estimate", "--optics", "lens", "--out", "runs/digits")
    assert status == 1
    assert "holds the run digits, and this spec is digits-lens" in " ".join(err.split())


def test_debug_shows_the_traceback(home):
    status, _, err = call(home, "--debug", "run", "no-spec.yaml")
    assert status == 1
    assert "Traceback" in err


def test_an_unwritable_run_folder(home):
    (home / "file").write_text("x")
    status, _, err = call(home, "run", "--out", "file/run", *QUICK)
    assert status == 1
    assert "cannot write the run folder" in err
    assert "Traceback" not in err


def test_help_comes_in_under_a_second(home):
    seconds = []
    for _ in range(5):
        started = time.perf_counter()
        status, out, _ = call(home, "--help")
        seconds.append(time.perf_counter() - started)
    assert status == 0
    assert "compare" in out
    assert min(seconds) < 1
