"""What the commands have in common: apps, options with their bounds, and how threads wait."""

from __future__ import annotations

import functools
import inspect
import math
import os
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn, Optional, get_type_hints

import typer
from typer.core import TyperGroup

from hybridonn.cli.output import choose_output
from hybridonn.studies.counts import MOST_TRIALS
from hybridonn.studies.workers import Workers

if TYPE_CHECKING:
    from hybridonn.spec import Spec

MOST_IMAGES = 1_000_000_000
SpecFile = Annotated[
    Optional[Path],  # noqa: UP045  typer reads the annotation
    typer.Argument(help="Spec file (YAML); by default scikit-learn's digits."),
]
Run = Annotated[Path, typer.Argument(metavar="RUN", help="A finished run folder.")]
Out = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option("--out", help="The run folder; by default runs/NAME.", show_default=False),
]
StudyOut = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option(
        "--out",
        help="Folder of the study; by default the name of the spec or run and of the study.",
        show_default=False,
    ),
]
Replace = Annotated[
    bool,
    typer.Option("--replace", help="Replace a run of another name in the run folder."),
]
Settings = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--set", metavar="KEY.PATH=VALUE", help="Change a key of the spec; repeatable."),
]
Methods = Annotated[
    str,
    typer.Option(help="Methods, separated by commas."),
]
Grid = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option(
        "--grid",
        metavar="KEY=V1,V2",
        help="Values of a training setting to try, such as epochs=10,20; repeatable.",
    ),
]
DataRoot = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option(
        "--data-root",
        envvar="HYBRIDONN_DATA",
        help="Folder that holds the data sets, and to which they are downloaded.",
        show_default=False,
    ),
]

LocalData = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option(
        "--data-root",
        envvar="HYBRIDONN_DATA",
        help="Folder that holds the data sets; nothing is downloaded.",
        show_default=False,
    ),
]

WORKERS: dict[str, Any] = {
    "workers": Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(
            min=1,
            max=MOST_TRIALS,
            help="Processes of this machine that share the runs, or jobs with --slurm; by default "
            "the command does them itself.",
            show_default=False,
        ),
    ],
    "scheduler": Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            metavar="FOLDER",
            help="A Dask scheduler whose workers do the runs: the folder of `hybridonn cluster "
            "scheduler`, or tls://host:port.",
            show_default=False,
        ),
    ],
    "slurm": Annotated[
        bool, typer.Option("--slurm", help="Start --workers SLURM jobs that do the runs.")
    ],
}


def on_workers(command: Callable[..., None]) -> Callable[..., None]:
    """Give the command of a study the options that say who does its runs.

    Args:
        command: Its last parameter, ``workers``, takes the
            :class:`~hybridonn.studies.workers.Workers` that the options ask for.
    """

    @functools.wraps(command)
    def run(*, workers: int | None, scheduler: str | None, slurm: bool, **others: Any) -> None:
        asked = Workers(workers, scheduler, slurm)
        if (scheduler is not None or slurm) and not others.get("dry_run"):
            from hybridonn.studies.cluster import refuse_absent

            refuse_absent(asked)  # before a teacher is trained for nothing
        command(**others, workers=asked)

    defaults = {"workers": None, "scheduler": None, "slurm": False}
    return _add_options(run, command, WORKERS, defaults)


def _add_options(
    run: Callable[..., None],
    command: Callable[..., None],
    options: dict[str, Any],
    defaults: dict[str, Any],
) -> Callable[..., None]:
    """Give a wrapper the parameters of a command, and further options in place of those named.

    Args:
        run: The wrapper.
        command: What it wraps; its parameters of the same names are replaced.
        options: Annotations of the options by their names.
        defaults: Their values where none is given.
    """
    hints = get_type_hints(command, include_extras=True) | options
    own = [one for one in inspect.signature(command).parameters.values() if one.name not in options]
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=value)
        for name, value in defaults.items()
    ]
    parameters = [one.replace(annotation=hints[one.name]) for one in (*own, *added)]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in parameters}
    return run


OUTPUT: dict[str, Any] = {
    "as_json": Annotated[
        bool, typer.Option("--json", help="Print one JSON document in place of text.")
    ],
    "quiet": Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")],
    "verbose": Annotated[
        bool, typer.Option("--verbose", help="Print every number in place of a summary.")
    ],
}
SEED = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option(min=0, help="Seed of the student; the same as --set seed=N.", show_default=False),
]
DEVICE = Annotated[
    Optional[Literal["auto", "cpu", "cuda"]],  # noqa: UP045
    typer.Option(
        help="Where networks are trained; the same as --set training.device=NAME.",
        show_default=False,
    ),
]
# Options that are short for a setting of the spec, and its key.
SHORT = {"seed": (SEED, "seed"), "device": (DEVICE, "training.device")}


def with_output(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that every command has.

    One that changes a spec by ``--set`` has ``--seed`` and ``--device`` too.
    """
    short = SHORT if "settings" in inspect.signature(command).parameters else {}
    options = {name: option for name, (option, _) in short.items()} | OUTPUT
    defaults = dict.fromkeys(short) | dict.fromkeys(OUTPUT, False)

    @functools.wraps(command)
    def run(*, as_json: bool, quiet: bool, verbose: bool, **others: Any) -> None:
        chosen = {key: others.pop(name) for name, (_, key) in short.items()}
        stated = [f"{key}={value}" for key, value in chosen.items() if value is not None]
        if stated:
            others["settings"] = [*stated, *(others["settings"] or ())]
        with choose_output(as_json, quiet, verbose):
            command(**others)

    return _add_options(run, command, options, defaults)


class App(typer.Typer):
    """An app all of whose commands have the options that every command has."""

    def command(self, *arguments: Any, **keywords: Any) -> Any:
        """Add a command; arguments are those of typer."""
        add = super().command(*arguments, **keywords)
        return lambda command: add(with_output(command))


class Commands(TyperGroup):
    """Commands, of each of which the help of the group shows the whole first sentence."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the names and what they do."""
        found = {name: self.commands[name].help or "" for name in self.list_commands(ctx)}
        rows = [(name, " ".join(text.partition("\n\n")[0].split())) for name, text in found.items()]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def invoke(self, ctx: Any) -> Any:
        """Run the command that is asked for.

        Raises:
            BadParameter: An argument is not allowed.
        """
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:  # of the library's words the fault alone
            error.message = error.message.removeprefix("Value error, ")
            raise


def name_command(
    command: str,
    file: Path,
    settings: Sequence[str] | None = None,
    data_root: Path | None = None,
    captures: Path | None = None,
) -> str:
    """A command on a spec or run as a shell takes it, with the options that go along."""
    words = ["hybridonn", *command.split(), str(file)]
    words += [word for setting in settings or () for word in ("--set", setting)]
    words += ["--captures", str(captures)] if captures is not None else []
    words += ["--data-root", str(data_root)] if data_root is not None else []
    return shlex.join(words)


def new_app(help: str, group: type[Commands] = Commands, completion: bool = False) -> typer.Typer:
    """An app whose help is shown as it is written: brackets are no markup.

    Args:
        help: What the commands are for.
        group: The class that lists and runs them.
        completion: Whether it has the options that set up the completion of a shell.
    """
    return App(
        help=help,
        cls=group,
        no_args_is_help=True,
        add_completion=completion,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )


def count(help: str, least: int = 1, most: int = MOST_TRIALS) -> Any:
    """An option that takes whole numbers from ``least`` to ``most``."""
    return typer.Option(min=least, max=most, help=help)


def positive(help: str) -> Any:
    """An option that takes numbers above zero; neither infinity nor NaN."""
    return typer.Option(help=help, callback=_check(lambda value: value > 0, "a number above 0"))


def not_negative(help: str) -> Any:
    """An option that takes zero and numbers above it; neither infinity nor NaN."""
    return typer.Option(help=help, callback=_check(lambda value: value >= 0, "0 or more"))


def share(help: str, zero: bool = True) -> Any:
    """An option that takes a share of all, from 0 to 1; per cent are refused.

    Args:
        help: What the option says.
        zero: Whether the share may be 0.
    """
    allowed = "from 0 to 1" if zero else "above 0, up to 1"
    return typer.Option(
        help=help,
        callback=_check(
            lambda value: (value >= 0 if zero else value > 0) and value <= 1,
            f"a share {allowed}: 0.95 is 95 %",
        ),
    )


def _check(fits: Callable[[float], bool], allowed: str) -> Callable[[Optional[float]], Any]:  # noqa: UP045
    def check(value: Optional[float]) -> Optional[float]:  # noqa: UP045  typer reads it
        if value is None or (math.isfinite(value) and fits(value)):
            return value
        raise typer.BadParameter(f"{value:g} is not allowed; it must be {allowed}")

    return check


def refuse(message: str) -> NoReturn:
    """End a command whose arguments do not go together.

    Raises:
        BadParameter: Always.
    """
    raise typer.BadParameter(message)


def state_run(
    spec: Path | None, settings: list[str] | None, out: Path | None, suffix: str = ""
) -> tuple[Spec, Path]:
    """Read the spec of a command and name the folder for what it writes, before torch is imported.

    Args:
        spec: The spec file; None: the digits.
        settings: What ``--set`` changes of it.
        out: The folder that was asked for; None: ``runs/NAME``, or ``runs/NAME-SUFFIX``.
        suffix: What is written beside the run of the spec; empty: the run itself.

    Raises:
        SpecError: The file cannot be read, or a key or value is not allowed.
    """
    from hybridonn.spec import read_spec

    stated = read_spec(spec, tuple(settings or ()))
    calm_threads()
    name = f"{stated.name}-{suffix}" if suffix else stated.name
    return stated, out or Path("runs") / name


def calm_threads() -> None:
    """Keep idle OpenMP threads from spinning; to be called before torch is imported.

    Threads that spin while they wait slow every neighbour on few cores.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault("GOMP_SPINCOUNT", "0")
