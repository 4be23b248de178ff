"""A finished run as one file."""

from __future__ import annotations

import hashlib
import json
import sys
import types
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from typer.testing import CliRunner

import hybridonn
from hybridonn.cli.app import app
from hybridonn.core.errors import ArtefactError, DeploymentError
from hybridonn.pipeline.bundle import CARD, CONTENTS, MODEL, bundle_run, open_bundle, upload_bundle
from hybridonn.pipeline.predict import open_system


@pytest.fixture(scope="module")
def bundle(deployed_digits: Path, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("bundles") / "digits.zip"
    return bundle_run(deployed_digits, out, "MIT", "Me, 2026")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("HYBRIDONN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_it_opens_as_the_run_does(deployed_digits, bundle):
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8), dtype=np.uint8)
    wanted = hybridonn.predict(deployed_digits, images).logits
    found = hybridonn.predict(hybridonn.load_run(bundle), images).logits
    assert torch.equal(found, wanted)
    assert hybridonn.load_run(bundle).results == hybridonn.load_run(deployed_digits).results


def test_predict_opens_it(deployed_digits, bundle):
    image = np.zeros((1, 8, 8), np.uint8)
    here, there = (open_system(one).predictor for one in (deployed_digits, bundle))
    assert here.answer_picture(image).confidence == there.answer_picture(image).confidence


def test_the_same_run_gives_the_same_file(deployed_digits, bundle, tmp_path):
    again = bundle_run(deployed_digits, tmp_path / "digits.zip", "MIT", "Me, 2026")
    assert again.read_bytes() == bundle.read_bytes()


def test_the_card_says_what_it_is(bundle):
    with zipfile.ZipFile(bundle) as archive:
        card = archive.read(CARD).decode()
    assert 'license: "MIT"' in card
    for words in (
        "# digits",
        "95 % interval",
        "| student |",
        "## Licence",
        "Me, 2026",
        "2508.08421",
    ):
        assert words in card


def test_the_weights_say_what_they_are(bundle, tmp_path):
    with zipfile.ZipFile(bundle) as archive:
        archive.extract(MODEL, tmp_path)
    with safe_open(tmp_path / MODEL, framework="pt") as file:
        notes = json.loads(file.metadata()["notes"])
        names = set(file.keys())
    assert notes["backend"] == "compensated"
    assert notes["licence"] == "MIT"
    assert names == set(hybridonn.load_run(bundle).student().state_dict())


def rewrite(bundle: Path, place: Path, change) -> Path:
    """The same bundle with other files."""
    with zipfile.ZipFile(bundle) as old, zipfile.ZipFile(place, "w") as new:
        files = {name: old.read(name) for name in old.namelist()}
        for name, content in change(files).items():
            new.writestr(name, content)
    return place


def contents(packed, **more):
    return json.dumps(json.loads(packed[CONTENTS]) | more).encode()


def add_file(files, name: str):
    """The same files with one more that the list of files names, too."""
    known = json.loads(files[CONTENTS])["files"] | {name: hashlib.sha256(b"").hexdigest()}
    return files | {CONTENTS: contents(files, files=known), name: b""}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda files: files | {"results.json": b"{}"},
            "results.json in .* is not as it was packed",
        ),
        (lambda files: files | {"more.txt": b""}, "holds other files than it says"),
        (
            lambda files: files | {CONTENTS: contents(files, format=9)},
            "of format 9, .* reads format 1",
        ),
        (lambda files: files | {CONTENTS: b"[]"}, "holds no bundle.json that can be read"),
        (lambda files: {"a": b""}, "holds no bundle.json"),
        (
            lambda files: files | {CONTENTS: contents(files, files={"../evil": "0"})},
            "names files that do not lie in it",
        ),
        (lambda files: files | {CONTENTS: contents(files, files={"C:/evil": "0"})}, "names files"),
        (
            lambda files: files | {CONTENTS: contents(files, files={f"{CONTENTS}/x": "0"})},
            "names files",
        ),
        (lambda files: add_file(files, "spec.yaml/x"), "cannot unpack .* exists; .*copy"),
        (lambda files: add_file(files, "a" * 300), "cannot unpack .* too long; .*copy"),
    ],
)
def test_what_was_changed_is_refused(bundle, tmp_path, change, words):
    place = rewrite(bundle, tmp_path / "other.zip", change)
    with pytest.raises(DeploymentError, match=words):
        hybridonn.load_run(place)
    assert not (tmp_path / "evil").exists()


def test_what_is_no_bundle_is_refused(bundle, tmp_path):
    broken = tmp_path / "broken.zip"
    broken.write_bytes(bundle.read_bytes()[:-200])
    with pytest.raises(DeploymentError, match="is no bundle, or is damaged"):
        open_bundle(broken)
    with pytest.raises(DeploymentError, match="is missing"):
        open_bundle(tmp_path / "none.zip")


@pytest.mark.parametrize("name", ["a", CONTENTS])
def test_a_bundle_that_would_fill_the_disk_is_refused(tmp_path, name):
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, bytes(2**26 + 1))
    with pytest.raises(DeploymentError, match=r"has 0\.1 MB and would take 67 MB unpacked"):
        open_bundle(tmp_path / "bomb.zip")


@pytest.mark.parametrize(
    ("name", "words"), [("digits.tar", "ends in .zip"), ("digits/student/x.zip", "in the run")]
)
def test_a_place_where_no_bundle_belongs_is_refused(deployed_digits, name, words):
    with pytest.raises(ArtefactError, match=words):
        bundle_run(deployed_digits, deployed_digits.parent / name)


def test_an_unpacked_file_that_was_changed_is_unpacked_again(bundle):
    folder = open_bundle(bundle)
    (folder / "results.json").write_text("{}")
    assert open_bundle(bundle) == folder
    assert (folder / "results.json").read_text() != "{}"


def test_an_upload_needs_the_hubs_library(bundle, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(DeploymentError, match=r"pip install 'hybridonn\[hub\]'"):
        upload_bundle(bundle, "me/digits")


def test_an_upload_puts_card_weights_and_bundle(bundle, monkeypatch):
    put: list[str] = []

    class Api:
        def create_repo(self, name: str, exist_ok: bool) -> None:
            if name == "others/digits":
                raise RuntimeError("403 Forbidden\nmore")

        def upload_file(self, path_or_fileobj, path_in_repo: str, repo_id: str) -> None:
            put.append(path_in_repo)

    hub = types.SimpleNamespace(HfApi=Api)
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    assert upload_bundle(bundle, "me/digits") == "https://huggingface.co/me/digits"
    assert put == [CARD, MODEL, "digits.zip"]
    with pytest.raises(
        DeploymentError, match="the hub refused others/digits: 403 Forbidden; log in"
    ):
        upload_bundle(bundle, "others/digits")


def test_the_commands(deployed_digits, tmp_path):
    done = CliRunner().invoke(
        app, ["bundle", str(deployed_digits), "--out", str(tmp_path / "b.zip")]
    )
    assert (done.exit_code, done.output.strip()) == (0, str(tmp_path / "b.zip"))
    done = CliRunner().invoke(app, ["cost", str(tmp_path / "b.zip"), "--json"])
    assert done.exit_code == 1
