"""A finished run as one file that travels; it is checked before anything of it is read."""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import Any

from hybridonn.core.errors import ArtefactError, DeploymentError
from hybridonn.core.files import cache_folder, format_json, read_tensors, write_tensors
from hybridonn.core.parts import put_folder, scratch_folder
from hybridonn.pipeline.deployment_state import explain_stale
from hybridonn.pipeline.model_card import write_model_card
from hybridonn.pipeline.run_folder import RESULTS, SPEC
from hybridonn.pipeline.run_record import RUN_RECORD, read_own_spec

CONTENTS, CARD, MODEL = "bundle.json", "README.md", "model.safetensors"
FORMAT = 1
# Stages that tell of the network as it is used; how it was taught stays with the run.
STAGES = ("student", "layout", "metasurface", "fabricated", "compensated", "deployed")
MOST_BYTES = 2**34  # of an unpacked bundle
# Weights hardly shrink, so that a bundle which grows more is made to fill a disk.
MOST_GROWTH, SMALL_BYTES = 100, 2**26
MOST_CONTENTS = 2**24  # bytes of the list of files
AT_A_TIME = 2**20  # bytes
SAME_TIME = (1980, 1, 1, 0, 0, 0)  # of all files, so that the same run gives the same bundle


def bundle_run(run: Path, out: Path | None = None, licence: str = "", citation: str = "") -> Path:
    """Pack a finished run into one zip file.

    It holds the spec, the results, the record, the stages of :data:`STAGES` that the run has, the
    weights with what they are as ``model.safetensors``, and a model card, ``README.md``.

    Args:
        run: A finished run.
        out: The file to write; None: beside the run, ``RUN.zip``.
        licence: Licence of the network, for the model card.
        citation: What is to be cited beside the method; BibTeX or a sentence.

    Returns:
        The file.

    Raises:
        ArtefactError: The run is not finished, or the file cannot be written, or lies in the run,
            or its name does not end in ``.zip``; or the deployed files were changed, or made of an
            earlier state of the run.
    """
    spec = read_own_spec(run)
    if stale := explain_stale(run):
        raise ArtefactError(stale)
    place = out or run.with_name(f"{run.name}.zip")
    _refuse_place(place, run)
    files = [run / name for name in (SPEC, RUN_RECORD, RESULTS)]
    files += [path for name in STAGES for path in sorted((run / name).rglob("*")) if path.is_file()]
    files = [path for path in files if not path.name.startswith(".")]
    try:
        with scratch_folder(place) as part:
            card, model = part / CARD, part / MODEL
            write_model_card(run, card, licence, citation)
            _write_model(run, model, spec.name, licence)
            named = {path.relative_to(run).as_posix(): path for path in files}
            named |= {CARD: card, MODEL: model}
            _zip(part / "bundle.zip", spec.name, named)
            (part / "bundle.zip").replace(place)
    except OSError as error:
        raise ArtefactError(
            f"cannot write {place}: {error.strerror or error}; choose another file with --out"
        ) from None
    return place


def _refuse_place(place: Path, run: Path) -> None:
    """Refuse a file that would be opened as something else, or that would change the run.

    Raises:
        ArtefactError: It is such a file.
    """
    if place.suffix.lower() != ".zip":
        raise ArtefactError(f"a bundle is a file that ends in .zip, and --out is {place}")
    if place.resolve().is_relative_to(run.resolve()):
        raise ArtefactError(f"{place} lies in the run itself; name a file outside of it with --out")


def _write_model(run: Path, path: Path, name: str, licence: str) -> None:
    """The network as the run left it: the student's weights, and the backend that was set last."""
    tensors, _ = read_tensors(run / "student" / "weights.safetensors")
    origin = "student"
    for stage in ("metasurface", "compensated"):
        backend = run / stage / "backend.safetensors"
        if backend.is_file():
            own, _ = read_tensors(backend)
            tensors |= {f"backend.{key}": one for key, one in own.items()}
            origin = stage
    notes = {"name": name, "version": version("hybridonn"), "backend": origin, "licence": licence}
    write_tensors(path, tensors, notes)


def _zip(place: Path, name: str, files: dict[str, Path]) -> None:
    contents = {
        "format": FORMAT,
        "name": name,
        "version": version("hybridonn"),
        "files": {inside: _hash(path.read_bytes()) for inside, path in files.items()},
    }
    with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo(CONTENTS, SAME_TIME), format_json(contents))
        for inside, path in files.items():
            entry = zipfile.ZipInfo(inside, SAME_TIME)
            archive.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)


def open_bundle(path: Path) -> Path:
    """Unpack a bundle into the user's cache, unless it is there, and give its folder.

    Args:
        path: A file that ``hybridonn bundle`` wrote.

    Raises:
        DeploymentError: It is no bundle, is damaged or of another version, or a file in it is not
            as it was packed.
    """
    if not path.is_file():
        raise DeploymentError(f"{path} is missing; name a bundle, or a run folder")
    folder = cache_folder() / "bundles" / _hash(path.read_bytes())[:16] / path.stem
    if _is_sound(folder):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        with zipfile.ZipFile(path) as archive, scratch_folder(folder) as part:
            contents = _read_contents(archive, path)
            for inside, known in contents["files"].items():
                _unpack(archive, inside, known, part, path)
            (part / CONTENTS).write_text(format_json(contents), "utf-8")
            put_folder(part, folder, folder.with_name(".lock"), _is_sound)
    except OSError as error:
        raise DeploymentError(
            f"cannot unpack {path} into {folder.parent}: {error.strerror or error}; free some "
            "space there, or copy the bundle again"
        ) from None
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise DeploymentError(
            f"{path} is no bundle, or is damaged ({error}); copy it again, or make it by "
            "`hybridonn bundle RUN`"
        ) from None
    return folder


def _read_contents(archive: zipfile.ZipFile, path: Path) -> dict[str, Any]:
    """What a bundle says that it holds.

    Raises:
        DeploymentError: It says nothing, is of another version, or holds something else.
    """
    sizes = {one.filename: one.file_size for one in archive.infolist()}
    _refuse_sizes(sizes, path)
    try:
        contents = json.loads(archive.read(CONTENTS))
        files = contents["files"]
        found = contents["format"]
    except (KeyError, ValueError, TypeError):
        raise DeploymentError(
            f"{path} is no bundle: it holds no {CONTENTS} that can be read; make it by "
            "`hybridonn bundle RUN`"
        ) from None
    if found != FORMAT:
        raise DeploymentError(
            f"{path} is a bundle of format {found}, written by version "
            f"{str(contents.get('version'))[:20]}, and this version reads format {FORMAT}; bundle "
            "the run again with this version, or install that one"
        )
    if not isinstance(files, dict) or not all(map(_is_inside, files)):
        raise DeploymentError(f"{path} names files that do not lie in it; it is not to be trusted")
    if set(sizes) - {CONTENTS} != set(files):
        raise DeploymentError(f"{path} holds other files than it says; copy it again")
    return contents


def _refuse_sizes(sizes: dict[str, int], path: Path) -> None:
    """Refuse a bundle that would fill memory or disk, before anything of it is unpacked.

    Raises:
        DeploymentError: It would.
    """
    total, own = sum(sizes.values()), path.stat().st_size
    most = min(MOST_BYTES, max(SMALL_BYTES, MOST_GROWTH * own))
    if total > most or sizes.get(CONTENTS, 0) > MOST_CONTENTS:
        raise DeploymentError(
            f"{path} has {own / 1e6:.1f} MB and would take {total / 1e6:,.0f} MB unpacked; no run "
            "does, so it is not to be trusted"
        )


def _is_inside(name: object) -> bool:
    if not isinstance(name, str) or "\\" in name or ":" in name:
        return False
    inside = PurePosixPath(name)
    if not inside.parts or inside.is_absolute() or ".." in inside.parts:
        return False
    return inside.parts[0] != CONTENTS


def _unpack(archive: zipfile.ZipFile, inside: str, known: str, part: Path, path: Path) -> None:
    """Write one file of a bundle.

    Raises:
        DeploymentError: It is not as it was packed.
    """
    place, digest = part / inside, hashlib.sha256()
    place.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(inside) as packed, place.open("wb") as unpacked:
        while content := packed.read(AT_A_TIME):
            digest.update(content)
            unpacked.write(content)
    if digest.hexdigest() != known:
        raise DeploymentError(
            f"{inside} in {path} is not as it was packed: it was changed or damaged; copy the "
            "bundle again"
        )


def _is_sound(folder: Path) -> bool:
    """Whether an unpacked bundle is as it was packed."""
    try:
        files = json.loads((folder / CONTENTS).read_text("utf-8"))["files"]
        return all(_hash((folder / name).read_bytes()) == known for name, known in files.items())
    except (OSError, ValueError, KeyError):
        return False


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def upload_bundle(bundle: Path, repository: str) -> str:
    """Put a bundle and its model card into a repository of the Hugging Face Hub.

    Args:
        bundle: The file.
        repository: ``owner/name``; it is made if it is not there.

    Returns:
        Address of the repository.

    Raises:
        DeploymentError: The hub's library is not installed, or the hub refuses.
    """
    try:
        from huggingface_hub import HfApi  # pyright: ignore[reportMissingImports]
    except (ImportError, RuntimeError) as error:
        raise DeploymentError(
            "an upload needs huggingface_hub, which is not installed; install it with: "
            "pip install 'hybridonn[hub]'"
        ) from error
    api = HfApi()
    try:
        api.create_repo(repository, exist_ok=True)
        with zipfile.ZipFile(bundle) as archive:
            for name in (CARD, MODEL):
                data = archive.read(name)
                api.upload_file(path_or_fileobj=data, path_in_repo=name, repo_id=repository)
        name = bundle.name
        api.upload_file(path_or_fileobj=str(bundle), path_in_repo=name, repo_id=repository)
    except Exception as error:  # the library has many errors of its own
        raise DeploymentError(
            f"the hub refused {repository}: {str(error).splitlines()[0][:200]}; log in with "
            "`hf auth login`, and name a repository of yours, as owner/name"
        ) from error
    return f"https://huggingface.co/{repository}"
