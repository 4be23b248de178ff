"""What workers of a study are given: the text of its spec and paths, never objects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hybridonn.core.errors import SpecError
from hybridonn.core.yaml_reading import parse_yaml
from hybridonn.spec import Spec, dump_spec, validate


def pack_inputs(spec: Spec, data_root: Path | None, **more: Any) -> dict[str, Any]:
    """The inputs of a study as plain data.

    Args:
        spec: Spec of the study.
        data_root: Where named data sets lie.
        **more: Plain data that the study needs beside these.
    """
    return {"spec": dump_spec(spec), "data_root": pack_root(data_root), **more}


def pack_root(data_root: Path | None) -> str | None:
    """Where named data sets lie, as plain data that holds in any folder."""
    return None if data_root is None else str(data_root.absolute())


def unpack_spec(inputs: dict[str, Any]) -> Spec:
    """The spec of a study from its inputs."""
    where = "the spec of the study"
    return validate(parse_yaml(inputs["spec"], where, SpecError), where)


def unpack_root(inputs: dict[str, Any]) -> Path | None:
    """Where named data sets lie, from the inputs of a study."""
    return None if inputs["data_root"] is None else Path(inputs["data_root"])
