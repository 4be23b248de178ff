"""The record of a run, ``record.json``: which spec, stages and data set belong together.

A kill, an edited ``spec.yaml`` or a damaged file can leave a spec beside weights that were made
with another one, and shapes alone do not tell the two apart. So the record holds a checksum of
the spec, the fingerprint of each stage and a checksum of itself, and what does not match is
refused wherever a spec and a stage are used together.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hybridonn.core.errors import ArtefactError, SpecError
from hybridonn.core.files import checksum_of, read_json, write_json
from hybridonn.pipeline.run_folder import SPEC, read_run_spec, refuse_no_run
from hybridonn.pipeline.stage_folder import Finished, read_stage
from hybridonn.spec import Spec, checksum_spec

RUN_RECORD = "record.json"
AGAIN = "run `hybridonn run` with the spec of this run again, which keeps all stages that fit it"


def write_run_record(folder: Path, record: dict[str, Any]) -> None:
    """Write the record of a run, with the checksums of its spec and of itself.

    Args:
        folder: A run that holds its ``spec.yaml`` already.
        record: What is known of the run; its ``hashes`` are the fingerprints of its stages.

    Raises:
        ArtefactError: The file cannot be written.
    """
    record = record | {"spec_checksum": checksum_spec(folder / SPEC, ArtefactError)}
    write_json(folder / RUN_RECORD, record | {"checksum": checksum_of(record)})


def read_run_record(folder: Path) -> dict[str, Any]:
    """The record of a run, checked.

    Raises:
        ArtefactError: The folder is no run, the run is not finished, or the record is damaged or
            was changed.
    """
    path = folder / RUN_RECORD
    refuse_no_run(folder)
    if not path.is_file():
        raise ArtefactError(
            f"{folder} holds a run that is not finished: it has no record.json; run the same "
            "`hybridonn run` command again to finish it"
        )
    record = read_json(path)
    if not isinstance(record, dict):
        raise ArtefactError(f"{path} holds no mapping of keys to values; {AGAIN}")
    check_data(record.get("data"), path)
    hashes = record.get("hashes")
    if not isinstance(hashes, dict) or not all(isinstance(one, str) for one in hashes.values()):
        raise ArtefactError(f"{path} does not say the hashes of the stages; {AGAIN}")
    known = record.pop("checksum", None)
    if known != checksum_of(record):
        found = "holds no checksum" if known is None else "does not fit its own checksum"
        raise ArtefactError(f"{path} {found}, so it is damaged or was changed; {AGAIN}")
    return record


def check_data(data: Any, path: Path) -> None:
    """Refuse what says no names of classes, or no shape of images.

    Args:
        data: The section ``data`` of a record.
        path: The record.

    Raises:
        ArtefactError: ``classes`` is no list of texts, or ``image_shape`` no three sizes.
    """
    data = data if isinstance(data, dict) else {}
    classes, shape = data.get("classes"), data.get("image_shape")
    named = isinstance(classes, list) and all(isinstance(name, str) for name in classes)
    sized = isinstance(shape, list) and len(shape) == 3 and all(type(n) is int for n in shape)
    for key, fits in (("classes", named and classes), ("image_shape", sized and min(shape) > 0)):
        if not fits:
            raise ArtefactError(
                f"{path} does not say the {key} of the data set: data.{key} is "
                f"{str(data.get(key))[:60]}; {AGAIN}"
            )


def read_own_spec(folder: Path, settings: tuple[str, ...] = ()) -> Spec:
    """The spec that the stages of a finished run were made with.

    Args:
        folder: The run.
        settings: ``key.path=value`` settings that are laid over it.

    Raises:
        ArtefactError: The folder is no finished run, or its ``spec.yaml`` was changed since.
        SpecError: A setting is not allowed.
    """
    if read_run_record(folder)["spec_checksum"] != checksum_spec(folder / SPEC, ArtefactError):
        raise ArtefactError(
            f"{folder / SPEC} is not the spec that the stages of this run were made with: it was "
            f"changed since, or a later run was interrupted; restore it, or run `hybridonn run "
            f"{folder / SPEC} --out {folder}`, which makes again what the change touches"
        )
    return read_run_spec(folder, settings)


def read_own_stage(folder: Path, name: str) -> Finished:
    """A stage that belongs to the record and the spec of its run, and is undamaged.

    Args:
        folder: The run.
        name: Name of the stage.

    Raises:
        ArtefactError: The folder is no finished run, its spec was changed, or the stage is not
            finished, damaged, or of another run of the folder.
    """
    read_own_spec(folder)
    stage = read_stage(folder / name)
    if read_run_record(folder)["hashes"].get(name) != stage.fingerprint:
        raise ArtefactError(
            f"the {name} stage of {folder} does not belong to the run that record.json describes: "
            f"a later command made it anew and was interrupted, or it was copied there; {AGAIN}"
        )
    return stage


def refuse_other_networks(spec: Spec, folder: Path) -> None:
    """Refuse settings that describe other networks, images or optics than those of a run.

    Args:
        spec: The spec of the run with settings laid over it.
        folder: The run.

    Raises:
        ArtefactError: The folder is no finished run, or its spec was changed.
        SpecError: A setting changes what the stages of the run were made with.
    """
    stated, own = (_list_made(one) for one in (spec, read_own_spec(folder)))
    changed = [key for key in own | stated if stated.get(key) != own.get(key)]
    if changed:
        raise SpecError(
            f"{', '.join(changed)} would differ from the spec of {folder}, whose networks were "
            "trained with it; leave the setting out, or run the changed spec into a folder of its "
            "own first"
        )


def _list_made(spec: Spec) -> dict[str, Any]:
    """The keys, with their values, that decide what networks, images and optics a run has."""
    teacher = spec.teacher.model_dump(mode="json", include={"name", "arguments", "weights"})
    parts = {
        "data": spec.data.model_dump(mode="json"),
        "optics": spec.optics.model_dump(mode="json", exclude={"sensor"}),
        "student": spec.student.model_dump(mode="json"),
        "teacher": teacher,
    }
    flat = {f"{name}.{key}": value for name, one in parts.items() for key, value in one.items()}
    return {"task": spec.task} | flat
