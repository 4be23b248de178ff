"""What is published: sdist and wheel, their metadata, and the workflows that publish them."""

import ast
import json
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml
from markdown_it import MarkdownIt

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
# What the command of the installed package does, in one process: torch is imported once.
COMMANDS = """
import sys
from importlib.metadata import distribution
(script,) = distribution("hybridonn").entry_points
for words in ("--help", "list examples", "init mine.yaml --from digits", "run mine.yaml --dry-run"):
    sys.argv = [script.name, *words.split()]
    try:
        script.load()()
    except SystemExit as end:
        if end.code:
            raise
"""
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def run(*words, cwd, **environment):
    """What a command prints."""
    told = {**os.environ, **environment}
    found = subprocess.run(words, cwd=cwd, env=told, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    return found.stdout


def is_text(name):
    """Whether a file is of the tests or the documentation, which take no part in the package."""
    return name.startswith(("tests/", "docs/"))


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
        if not is_text(name):
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


@pytest.mark.slow
def test_the_sdist_holds_what_git_holds(tree):
    files = run("git", "ls-files", "-z", cwd=ROOT).split("\0")
    assert not [
        name for name in filter(None, files) if not (tree / name).exists() and not is_text(name)
    ]


@pytest.mark.slow
def test_the_wheel_of_the_sdist_holds_the_files_of_the_package_and_no_other(installed):
    files = run("git", "ls-files", "src", "examples", cwd=ROOT).split()
    wanted = {
        re.sub("^examples/", "hybridonn/examples/", one.removeprefix("src/")) for one in files
    }
    held = {str(one.relative_to(installed)) for one in installed.rglob("*") if one.is_file()}
    packed = {one for one in held if not one.partition("/")[0].endswith(".dist-info")}
    assert packed == wanted - {"hybridonn/examples"}


@pytest.mark.slow
def test_the_command_of_an_installed_wheel_needs_no_checkout(installed, tmp_path):
    where = {"cwd": tmp_path, "PYTHONPATH": str(installed)}
    said = run(sys.executable, "-P", "-c", COMMANDS, **where)
    for word in ("Usage: hybridonn", "mnist_4f", "next: hybridonn data check mine.yaml", "dry run"):
        assert word in said
    first = (tmp_path / "mine.yaml").read_text("utf-8").splitlines()[0]
    assert installed in Path(first.partition("$schema=")[2]).parents


def list_imports():
    """The packages that the source imports, at the top or in a function."""
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                yield from (alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and not node.level:
                yield str(node.module).partition(".")[0]


def normalise(name):
    """A distribution's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\s;<>=!~\[]", name)[0]).lower()


def list_declared(requirement):
    """What a requirement names: a distribution, and extras that are distributions of their own."""
    yield normalise(requirement)
    for extras in re.findall(r"\[(.*?)\]", requirement):
        yield from map(normalise, extras.split(","))


def test_every_package_that_is_imported_is_declared():
    extras = PROJECT["optional-dependencies"]
    used = [extras[name] for name in extras if name not in ("dev", "docs")]
    groups = (PROJECT["dependencies"], *used)
    declared = {name for group in groups for one in group for name in list_declared(one)}
    held = packages_distributions()
    known = {*sys.stdlib_module_names, "hybridonn"}
    lacking = {
        name
        for name in set(list_imports()) - known
        if not {normalise(one) for one in held.get(name, [name])} & declared
    }
    assert not lacking


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
    for step in (one for job in told["jobs"].values() for one in job["steps"]):
        if str(step.get("uses")).startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False
    made = set(re.findall(r"make (\w+)", text))
    rules = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    assert made <= rules


def test_the_oldest_and_the_newest_python_are_tested():
    jobs = yaml.safe_load((WORKFLOWS[0].parent / "ci.yml").read_text("utf-8"))["jobs"]
    found = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
    assert jobs["test"]["strategy"]["matrix"]["python"] == [found[0], found[-1]]
    assert PROJECT["requires-python"] == f">={found[0]}"
    assert {"test", "docs", "package"} <= set(jobs)


@pytest.mark.parametrize(("tag", "ends"), [("v{}", 0), ("v{}.1", 1), ("{}", 1)])
def test_a_release_needs_a_tag_of_the_version(tag, ends):
    jobs = yaml.safe_load((WORKFLOWS[0].parent / "release.yml").read_text("utf-8"))["jobs"]
    (check,) = (one for one in jobs["build"]["steps"] if "tag" in one.get("name", ""))
    told = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "GITHUB_REF_NAME": tag.format(PROJECT["version"]),
    }
    done = subprocess.run(["bash", "-e", "-c", check["run"]], cwd=ROOT, env=told, check=False)
    assert done.returncode == ends


ADDRESS, TAG = "https://github.com/OWNER/NAME", "v1.2.3"
RELEASED = {
    "GITHUB_SERVER_URL": "https://github.com",
    "GITHUB_REPOSITORY": "OWNER/NAME",
    "GITHUB_REF_NAME": TAG,
}


def released_step():
    """The step of the release that gives addresses, which comes before the package is built."""
    jobs = yaml.safe_load((WORKFLOWS[0].parent / "release.yml").read_text("utf-8"))["jobs"]
    steps = [one.get("run") for one in jobs["build"]["steps"]]
    (step,) = (one for one in steps if one and "set_addresses" in one)
    assert steps.index(step) < steps.index("make dist")
    return step.split()


@pytest.fixture
def released(tmp_path):
    """A folder whose README.md and pyproject.toml were given the addresses of a release."""
    (tmp_path / ".ci").mkdir()
    for name in ("README.md", "pyproject.toml", ".ci/set_addresses.py"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    run(sys.executable, *released_step()[1:], cwd=tmp_path, **RELEASED)
    return tmp_path


def list_targets(markdown):
    """The kind and target of each link and picture."""
    tokens = MarkdownIt().parse(markdown)
    for one in (part for token in tokens for part in token.children or ()):
        if one.type in ("link_open", "image"):
            yield one.type, one.attrs["href" if one.type == "link_open" else "src"]


def test_a_release_links_to_files_and_pictures_of_its_tag(released):
    here = list(list_targets((ROOT / "README.md").read_text("utf-8")))
    there = list(list_targets((released / "README.md").read_text("utf-8")))
    views = {"link_open": "blob", "image": "raw"}
    assert {kind for kind, target in here if "://" not in target} == set(views)
    assert there == [
        (kind, target if "://" in target else f"{ADDRESS}/{views[kind]}/{TAG}/{target}")
        for kind, target in here
    ]


def test_the_wheel_of_a_release_names_its_repository(released):
    told = tomllib.loads((released / "pyproject.toml").read_text("utf-8"))["project"]
    assert told.pop("urls") == {"Repository": ADDRESS, **PROJECT["urls"]}
    assert told == {key: PROJECT[key] for key in told}


@pytest.mark.parametrize("name", RELEASED)
def test_addresses_need_what_the_workflow_knows(name, tmp_path):
    script = ROOT / ".ci" / "set_addresses.py"
    told = {**RELEASED, name: ""}
    done = subprocess.run(
        [sys.executable, script], cwd=tmp_path, env=told, capture_output=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.decode().startswith(f"{name} not set")


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
