"""The manifest of a deployed network: what its files take, give, and were made of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from hybridonn.core.errors import DeploymentError
from hybridonn.core.files import checksum, checksum_of, read_json, write_json

FORMAT = 2  # of the manifest; a reader refuses another one
MANIFEST, CHECKSUM = "manifest.json", "checksum"


@dataclass(frozen=True)
class BranchLayout:
    """An input of the backend.

    Attributes:
        name: Name of the input.
        shape: (K, H, W): kernels, rows, columns.
        binning: Pixels of the scene along a side of one of its pixels.
    """

    name: str
    shape: tuple[int, int, int]
    binning: int


@dataclass(frozen=True)
class Manifest:
    """All that a program needs to run a deployed network without the rest of the package.

    Attributes:
        run: Name of the run's spec.
        task: What the network is for.
        metric: What its quality is measured by.
        classes: Names of the classes, in the order of the outputs.
        image_shape: (C, H, W) of a scene.
        scene_range: Values of dark and of bright in a scene; 8-bit images are divided by 255.
        branches: Inputs of the backend, from fine to coarse: signed features, which are
            ``gain[k][0] * positive[k] - gain[k][1] * negative[k]`` of the two captures of kernel k.
        gains: Gain of the positive and of the negative capture of each kernel, (K, 2).
        optics: Stage of the run whose optics the network was last fitted to.
        backend: Stage of the run whose backend this is.
        stages: Fingerprints of the stages that it was made from.
        files: Checksums of the files of the bundle, by name.
        version: Version of the package.
        format: Version of the manifest.
    """

    run: str
    task: str
    metric: str
    classes: tuple[str, ...]
    image_shape: tuple[int, int, int]
    branches: tuple[BranchLayout, ...]
    gains: tuple[tuple[float, float], ...]
    optics: str
    backend: str
    stages: dict[str, str]
    version: str
    files: dict[str, str]
    scene_range: tuple[float, float] = (0.0, 1.0)
    format: int = FORMAT


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest of the files of a folder, with a checksum of its own."""
    tree = asdict(manifest)
    write_json(folder / MANIFEST, tree | {CHECKSUM: checksum_of(tree)})


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a folder, whose files are as they were written.

    Raises:
        DeploymentError: There is none, it is of another version of the format, or it or a file
            is missing or was changed.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise DeploymentError(f"{folder} holds no {MANIFEST}; make it by `hybridonn deploy RUN`")
    tree = read_json(path)
    found = tree.get("format") if isinstance(tree, dict) else None
    if found != FORMAT:
        raise DeploymentError(
            f"{path} is of format {found}, and this version reads {FORMAT}; make it anew by "
            "`hybridonn deploy RUN`"
        )
    if tree.pop(CHECKSUM, None) != checksum_of(tree):
        raise DeploymentError(
            f"{path} is not as it was written: it was changed or damaged; make it anew by "
            "`hybridonn deploy RUN`"
        )
    try:
        branches = tuple(BranchLayout(**_tuples(one)) for one in tree.pop("branches"))
        manifest = Manifest(branches=branches, **_tuples(tree))
        _refuse_names(manifest.files.keys())
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DeploymentError(f"{path} is damaged ({error}); make it anew") from None
    for name, known in manifest.files.items():
        _check_file(folder / name, known)
    return manifest


def _refuse_names(names: Iterable[str]) -> None:
    """Refuse files that would not lie in the folder.

    Raises:
        ValueError: A name leads out of it.
    """
    for name in names:
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise ValueError(f"{name} leads out of the folder")


def _check_file(path: Path, known: str) -> None:
    """Compare a file with its checksum.

    Raises:
        DeploymentError: It is missing or was changed.
    """
    if not path.is_file():
        raise DeploymentError(f"{path} is missing; make it anew by `hybridonn deploy RUN`")
    if checksum(path) != known:
        raise DeploymentError(
            f"{path} is not as it was written: it was changed or damaged; make it anew by "
            "`hybridonn deploy RUN`"
        )


def _tuples(tree: dict[str, Any]) -> dict[str, Any]:
    """The same with tuples in place of lists."""
    return {key: _tuple(value) if isinstance(value, list) else value for key, value in tree.items()}


def _tuple(values: list[Any]) -> tuple[Any, ...]:
    return tuple(_tuple(one) if isinstance(one, list) else one for one in values)
