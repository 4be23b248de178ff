"""What a deployment of a run is made of, and whether the one that lies there is still of that."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hybridonn.compensation.acquisition.capture_dataset import name_set
from hybridonn.core.errors import ArtefactError, DeploymentError, HybridonnError
from hybridonn.core.files import read_json
from hybridonn.core.progress import Progress
from hybridonn.deployment.manifest import Manifest, read_manifest
from hybridonn.pipeline.deployable import REAL, SIMULATED
from hybridonn.pipeline.run_record import read_own_spec, read_own_stage, read_run_record
from hybridonn.pipeline.stage_folder import Finished, read_stage
from hybridonn.pipeline.stages.compensated_on_captures import COMPENSATED_ON_CAPTURES
from hybridonn.pipeline.stages.student import STUDENT

DEPLOYED = "deployed"


def find_real_chip(run: Path) -> Finished | None:
    """The compensation of a run on captures of a real chip; None: there is none.

    Raises:
        ArtefactError: It is that of another student.
    """
    folder = run / "compensated"
    if not (folder / "origin.json").is_file():
        return None
    found = read_stage(folder)
    student = read_json(folder / "origin.json").get("student")
    if student != read_own_stage(run, STUDENT.name).fingerprint:
        raise ArtefactError(
            f"{folder} is the compensation of another student than that of {run}; compensate the "
            "run again, with `hybridonn compensate`"
        )
    return found


def refuse_other_captures(run: Path, captures: Path) -> None:
    """Refuse captures on which the backend of a run was not compensated.

    Args:
        run: A run that was compensated on captures of a real chip.
        captures: A capture set.

    Raises:
        ArtefactError: The set cannot be read.
        DeploymentError: The backend was compensated on another one.
    """
    kept = read_json(run / "compensated" / "origin.json").get("captures")
    if kept not in (None, name_set(captures)):  # None: of an earlier version
        raise DeploymentError(
            f"{captures} is not the capture set on which the backend of {run} was compensated; "
            f"name that one, or run `hybridonn compensate {run} --captures {captures}` first"
        )


def list_sources(run: Path) -> dict[str, str]:
    """Fingerprints of the stages that a deployment of a run would be made of now, by name.

    Args:
        run: A finished run, or an unpacked bundle.

    Raises:
        ArtefactError: The folder is no finished run, or a stage is that of another one.
    """
    spec, hashes = read_own_spec(run), read_run_record(run)["hashes"]
    real = find_real_chip(run)
    stages = SIMULATED if real is None else REAL
    found = {
        stage.name: hashes[stage.name]
        for stage in stages
        if stage.name in hashes and stage.wanted(spec)
    }
    return found if real is None else found | {COMPENSATED_ON_CAPTURES.name: real.fingerprint}


def refuse_other_state(run: Path, manifest: Manifest, place: Path) -> None:
    """Refuse deployed files that were made of an earlier state of a run.

    Args:
        run: The run folder.
        manifest: Manifest of the deployed files.
        place: What the user named: the run, or a bundle of it.

    Raises:
        DeploymentError: A stage was made anew, came, or went since.
        ArtefactError: The folder is no finished run, or a stage is that of another one.
    """
    if change := _describe_change(manifest.stages, list_sources(run)):
        again = (
            "deploy the run again, and bundle it again"
            if place.suffix.lower() == ".zip"
            else f"run `hybridonn deploy {place}` again"
        )
        raise DeploymentError(f"{place} was changed since it was deployed: {change}; {again}")


def _describe_change(known: Mapping[str, str], now: Mapping[str, str]) -> str:
    """The first stage that differs, in words; empty: none does."""
    for stage in (*known, *now):
        if stage not in now:
            return f"it has no stage {stage} any more"
        if stage not in known:
            return f"the stage {stage} is new"
        if known[stage] != now[stage]:
            return f"the stage {stage} is another one"
    return ""


def explain_stale(run: Path) -> str:
    """Why the deployed files of a run are not to be used; empty: they are as the run is now.

    Args:
        run: A finished run.
    """
    if not (run / DEPLOYED).is_dir():
        return ""
    try:
        refuse_other_state(run, read_manifest(run / DEPLOYED), run)
    except HybridonnError as error:
        return str(error)
    return ""


def take_deployed(run: Path, progress: Progress) -> dict[str, Any]:
    """The numbers of a run's deployment under its key, if it is of the run as it is now.

    Args:
        run: A finished run.
        progress: Is told why a deployment that lies there is not to be used.
    """
    if not (run / DEPLOYED).is_dir():
        return {}
    if stale := explain_stale(run):
        progress.say(stale)
        return {}
    return {DEPLOYED: read_stage(run / DEPLOYED).results}
