"""What is published: sdist and wheel, their metadata, and the workflows that publish them."""

import json
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def run(*words, cwd, **environment):
    """What a command prints."""
    told = {**os.environ, **environment}
    found = subprocess.run(words, cwd=cwd, env=told, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    return found.stdout


def build(what, source, folder):
    """A distribution of a source tree, built without the network."""
    pytest.importorskip("setuptools", "77", reason="needs setuptools 77 to build the package")
    code = f"from setuptools import build_meta; build_meta.build_{what}({str(folder)!r})"
    run(sys.executable, "-c", code, cwd=source)
    (found,) = folder.iterdir()
    return found


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """The source tree as the sdist carries it."""
    if not (ROOT / ".git").exists():
        pytest.skip("needs a checkout, whose files git lists")
    home = tmp_path_factory.mktemp("package")
    files = run("git", "ls-files", "-z", cwd=ROOT).split("\0")
    copy = home / "checkout"
    for name in filter(None, files):
        if not name.startswith(("tests/", "docs/")):
            place = copy / name
            place.parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / name).is_symlink():
                place.symlink_to((ROOT / name).readlink())
            else:
                place.write_bytes((ROOT / name).read_bytes())
    with tarfile.open(build("sdist", copy, home / "sdist")) as packed:
        packed.extractall(home / "unpacked", filter="data")
    (unpacked,) = (home / "unpacked").iterdir()
    return unpacked


@pytest.fixture(scope="module")
def installed(tree, tmp_path_factory):
    """A folder into which the wheel of the sdist was unpacked, as pip does."""
    wheel = build("wheel", tree, tmp_path_factory.mktemp("wheel") / "dist")
    place = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(place)
    return place


def test_the_wheel_of_the_sdist_holds_every_file_of_the_package(installed):
    files = run("git", "ls-files", "src", "examples", cwd=ROOT).split()
    wanted = {
        re.sub("^examples/", "hybridonn/examples/", one.removeprefix("src/")) for one in files
    }
    held = {str(one.relative_to(installed)) for one in installed.rglob("*") if one.is_file()}
    assert wanted - {"hybridonn/examples"} <= held
    assert not [one for one in held if one.startswith(("tests", "docs"))]


def test_an_installed_wheel_needs_no_checkout(installed, tmp_path):
    command = (sys.executable, "-P", "-m", "hybridonn")
    where = {"cwd": tmp_path, "PYTHONPATH": str(installed)}
    assert "mnist_4f" in run(*command, "list", "examples", **where)
    run(*command, "init", "mine.yaml", "--from", "digits", **where)
    first = (tmp_path / "mine.yaml").read_text("utf-8").splitlines()[0]
    schema = Path(first.partition("$schema=")[2])
    assert installed in schema.parents
    assert "name: digits" in run(*command, "spec", "mine.yaml", **where)


@pytest.mark.parametrize("name", [".zenodo.json", "CITATION.cff"])
def test_what_cites_the_software_names_this_version(name):
    told = yaml.safe_load((ROOT / name).read_text("utf-8"))
    for key in ("version", "license"):
        assert told[key] == PROJECT[key]
    assert told["title"] == PROJECT["name"]


def test_zenodo_knows_the_paper_and_the_keywords():
    told = json.loads((ROOT / ".zenodo.json").read_text("utf-8"))
    paper = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))["preferred-citation"]
    names = [one["value"] for one in paper["identifiers"]]
    assert [one["identifier"] for one in told["related_identifiers"]] == names
    assert told["keywords"] == PROJECT["keywords"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_holds_no_secret_and_asks_for_no_more_than_it_needs(path):
    text = path.read_text("utf-8")
    told = yaml.safe_load(text)
    assert told["permissions"] == {"contents": "read"}
    assert "secrets." not in text
    for job in told["jobs"].values():
        assert job["timeout-minutes"] <= 60
        assert all(set(step) & {"uses", "run"} for step in job["steps"])
    made = set(re.findall(r"make (\w+)", text))
    rules = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    assert made <= rules


def test_only_the_job_that_publishes_may_sign_for_the_index():
    (path,) = (one for one in WORKFLOWS if one.stem == "release")
    jobs = yaml.safe_load(path.read_text("utf-8"))["jobs"]
    asked = {name: job.get("permissions", {}) for name, job in jobs.items()}
    assert asked == {
        "build": {},
        "publish": {"id-token": "write"},
        "release": {"contents": "write"},
    }
    assert jobs["publish"]["environment"] == "pypi"
    assert jobs["publish"]["needs"] == "build"
