"""The manifest of a deployed network."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from hybridonn.core.errors import DeploymentError
from hybridonn.core.files import checksum, checksum_of
from hybridonn.deployment.manifest import (
    MANIFEST,
    BranchLayout,
    Manifest,
    read_manifest,
    write_manifest,
)


@pytest.fixture
def folder(tmp_path):
    """A folder with a file and its manifest."""
    (tmp_path / "backend.onnx").write_bytes(b"network")
    manifest = Manifest(
        run="digits",
        task="classification",
        metric="accuracy",
        classes=("0", "1"),
        image_shape=(1, 8, 8),
        branches=(BranchLayout("branch_0", (2, 8, 8), 1),),
        gains=((1.0, 0.5), (1.0, 1.0)),
        optics="student",
        backend="student",
        stages={"student": "abc"},
        version="0.1.0",
        files={"backend.onnx": checksum(tmp_path / "backend.onnx")},
    )
    write_manifest(tmp_path, manifest)
    return tmp_path, manifest


def test_it_is_read_as_it_was_written(folder) -> None:
    assert read_manifest(folder[0]) == folder[1]


def test_a_changed_or_missing_file_is_refused(folder) -> None:
    path = folder[0] / "backend.onnx"
    path.write_bytes(b"other")
    with pytest.raises(DeploymentError, match="not as it was written"):
        read_manifest(folder[0])
    path.unlink()
    with pytest.raises(DeploymentError, match=r"backend\.onnx is missing"):
        read_manifest(folder[0])


def test_another_version_of_the_format_is_refused(folder) -> None:
    write_manifest(folder[0], replace(folder[1], format=99))
    with pytest.raises(DeploymentError, match="is of format 99, and this version reads 2"):
        read_manifest(folder[0])


@pytest.mark.parametrize("text", ["[]", "{}", "3"])
def test_what_is_no_manifest_is_refused(folder, text) -> None:
    (folder[0] / MANIFEST).write_text(text)
    with pytest.raises(DeploymentError, match="is of format None"):
        read_manifest(folder[0])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("branches", None),
        ("branches", []),
        ("files", ["a"]),
        ("stages", 3),
        ("classes", ["0"]),
        ("gains", [[2.0, 0.5], [1.0, 1.0]]),  # a wrong number without a word
        ("extra", 1),
        ("checksum", None),
    ],
)
def test_a_manifest_that_was_changed_is_refused(folder, key, value) -> None:
    path = folder[0] / MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises(DeploymentError, match=r"manifest\.json is not as it was written"):
        read_manifest(folder[0])


def test_a_manifest_of_other_fields_is_refused(folder) -> None:
    path = folder[0] / MANIFEST
    tree = json.loads(path.read_text()) | {"extra": 1}
    del tree["checksum"]
    path.write_text(json.dumps(tree | {"checksum": checksum_of(tree)}))
    with pytest.raises(DeploymentError, match="damaged"):
        read_manifest(folder[0])


def test_a_name_that_leads_out_of_the_folder_is_refused(folder) -> None:
    write_manifest(folder[0], replace(folder[1], files={"../secret": "0"}))
    with pytest.raises(DeploymentError, match="damaged"):
        read_manifest(folder[0])


def test_a_folder_without_one_is_refused(tmp_path) -> None:
    with pytest.raises(DeploymentError, match="hybridonn deploy RUN"):
        read_manifest(tmp_path)
