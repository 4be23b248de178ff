"""The commands ``init`` and ``list``: a first spec, and what a spec can name."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from hybridonn.cli.options import name_command, positive, refuse
from hybridonn.cli.output import say
from hybridonn.cli.screen import print_rows

if TYPE_CHECKING:
    from hybridonn.data.readers.table import NamedSet


LOOKED_AT = 200  # images whose headers `init` reads


class Kind(Enum):
    """What can be listed."""

    teachers = "teachers"
    students = "students"
    presets = "presets"
    datasets = "datasets"
    examples = "examples"


def _complete_example(incomplete: str) -> list[str]:
    """Names of examples that begin so, for the completion of a shell."""
    from hybridonn.spec.examples import list_examples

    return [name for name in list_examples() if name.startswith(incomplete)]


def _complete_data(incomplete: str) -> list[str]:
    """Names of data sets that begin so, for the completion of a shell."""
    from hybridonn.data.readers.table import DATA_SETS

    return [name for name in DATA_SETS if name.startswith(incomplete)]


def init(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Spec file to write.")] = Path(
        "spec.yaml"
    ),
    example: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            "--from",
            metavar="EXAMPLE",
            help="Copy an example; `hybridonn list examples`.",
            autocompletion=_complete_example,
        ),
    ] = None,
    data: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            help="Data set, or layout of a folder; `hybridonn list datasets`.",
            autocompletion=_complete_data,
        ),
    ] = None,
    folder: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Folder of the images, for a layout."),
    ] = None,
    width_mm: Annotated[
        Optional[float],  # noqa: UP045
        positive("Width of the metasurface in millimetres."),
    ] = None,
    height_mm: Annotated[
        Optional[float],  # noqa: UP045
        positive("Height of the metasurface in millimetres."),
    ] = None,
    kernels: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=1, help="Number of optical kernels."),
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Replace a file.")] = False,
) -> None:
    """Write a commented spec: a copy of an example, or one for your data and size.

    On a terminal it asks for what no option states; elsewhere defaults stand in.
    """
    from hybridonn.core.files import write_text
    from hybridonn.spec.starter import copy_example, write_starter

    given = {
        "data.name": data,
        "data.folder": None if folder is None else str(folder),
        "optics.metasurface_width_mm": width_mm,
        "optics.metasurface_height_mm": height_mm,
        "student.kernels": kernels,
    }
    stated = {key: value for key, value in given.items() if value is not None}
    _keep(file, replace)
    if example is not None:
        if stated:
            refuse("--from copies an example as it is: leave the other options out")
        text = copy_example(example, file)
    else:
        ask = _ask if sys.stdin.isatty() else _take_default
        text = write_starter(_complete(file, stated, ask))
    write_text(file, text)
    say(file)
    say(f"next: {name_command('data check', file)}")


def _keep(file: Path, replace: bool) -> None:
    """Refuse to write over a file.

    Raises:
        SpecError: It is there already.
    """
    from hybridonn.core.errors import SpecError

    if file.exists() and not replace:
        raise SpecError(f"{file} is there already; name another file, or give --replace")


def _complete(
    file: Path, stated: Mapping[str, Any], ask: Callable[[str, Any], Any]
) -> dict[str, Any]:
    """The answers of a new spec: what is stated, and what is asked for."""
    from hybridonn.data.readers.table import DATA_SETS

    answers = dict(stated)
    if "data.name" not in answers:
        answers["data.name"] = ask(f"data set ({', '.join(DATA_SETS)})", "digits")
    known = DATA_SETS.get(answers["data.name"])
    if known and known.task != "classification" and "student.kernels" in answers:
        refuse(
            f"--kernels is {answers['student.kernels']}, but an optical network for "
            f"{known.task} has several branches of kernels; leave --kernels out, and state "
            "student.branches in the new spec (`hybridonn spec` prints them)"
        )
    if known and known.folder == "required" and "data.folder" not in answers:
        answers["data.folder"] = ask("folder of the images", "images")
    if _is_grey(known, answers):
        answers["data.colour"] = "grey"
    for side in ("width", "height"):
        key = f"metasurface_{side}_mm"
        if f"optics.{key}" not in answers:
            default = _suggest_side(known, answers, key)
            answers[f"optics.{key}"] = float(ask(f"{side} of the metasurface in mm", default))
    if "student.kernels" not in answers and known and known.task == "classification":
        answers["student.kernels"] = int(ask("number of optical kernels", 8))
    return {"name": _make_name(file.stem), **answers}


def _is_grey(known: NamedSet | None, answers: Mapping[str, Any]) -> bool:
    """Whether a folder of the user's holds grey images alone; false where it cannot be read yet."""
    from hybridonn.core.errors import HybridonnError
    from hybridonn.data.load import list_set
    from hybridonn.data.readers.image_files import read_shape
    from hybridonn.spec import Data

    if known is None or known.folder != "required" or not known.image_files:
        return False
    stated = {"name": answers["data.name"], "folder": answers["data.folder"]}
    try:
        listing = list_set(Data.model_validate(stated))
        items = listing.items if listing else ()
        some = items[:: max(1, len(items) // LOOKED_AT)]
        return bool(some) and all(read_shape(item.image).grey for item in some)
    except HybridonnError:  # `data check` says what is wrong
        return False


def _suggest_side(known: NamedSet | None, answers: Mapping[str, Any], key: str) -> float:
    """A side that holds the kernels which are asked for next, or those of the nearest example."""
    from hybridonn.spec.starter import start_tree

    if known is None or known.task == "classification":
        return 4.0
    return float(start_tree(answers)["optics"][key])


def _make_name(stem: str) -> str:
    """A name that a run can have, made of that of a file."""
    kept = "".join(
        one if one.isascii() and (one.isalnum() or one in "._-") else "-" for one in stem
    )
    return kept.lstrip("._-") or "mine"


def _ask(question: str, default: Any) -> Any:
    return typer.prompt(question, default=default, err=True)


def _take_default(question: str, default: Any) -> Any:
    return default


def list_(kind: Annotated[Kind, typer.Argument(help="What to list.")]) -> None:
    """List what a spec can name: teachers, students, presets of errors, data sets; or examples."""
    rows = {
        Kind.teachers: _list_teachers,
        Kind.students: _list_students,
        Kind.presets: _list_presets,
        Kind.datasets: _list_datasets,
        Kind.examples: _list_examples,
    }[kind]()
    print_rows(kind.value, list(rows))


def _list_teachers() -> Iterator[dict[str, Any]]:
    from hybridonn.networks.teachers.table import TEACHERS

    for name, one in TEACHERS.items():
        yield {"name": name, "answers each": one.answers, "code": one.code}


def _list_students() -> Iterator[dict[str, Any]]:
    from hybridonn.spec.student import Student
    from hybridonn.spec.systems import SYSTEMS

    for name in SYSTEMS:
        one = Student(name=name)
        sizes = {branch.kernel_size for _, branch in one.split_kernels()}
        yield {
            "name": name,
            "kernels": one.kernels,
            "size": ", ".join(f"{size} x {size}" for size in sorted(sizes)),
            "branches": len(one.split_kernels()),
            "optics": one.optics,
            "backend": one.backend,
            "answers each": one.answers,
        }


def _list_presets() -> Iterator[dict[str, Any]]:
    from hybridonn.spec.presets import PRESETS

    for name, errors in PRESETS.items():
        shown = (key if value is True else f"{key} {value}" for key, value in errors.items())
        yield {"name": name, "errors": ", ".join(shown)}


def _list_datasets() -> Iterator[dict[str, Any]]:
    from hybridonn.data.readers.table import DATA_SETS

    for name, one in DATA_SETS.items():
        yield {"name": name, "task": one.task, "folder": one.folder, "origin": one.origin}


def _list_examples() -> Iterator[dict[str, Any]]:
    from hybridonn.spec.examples import list_examples
    from hybridonn.spec.starter import describe_example

    for name, path in list_examples().items():
        yield {"name": name, "what it is": describe_example(path)}
