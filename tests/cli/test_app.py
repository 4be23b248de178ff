"""The command line as a whole: what every command has in common."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from hybridonn import __version__
from hybridonn.cli import app as cli
from hybridonn.cli.app import app
from hybridonn.cli.options import WORKERS
from hybridonn.cli.output import choose_output
from hybridonn.cli.screen import open_console, print_table, show_bars
from hybridonn.cli.stopping import STOPPED

GROUP: Any = typer.main.get_command(app)


def list_commands(group: Any = GROUP, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words of every command, those of groups before those in them."""
    for name, command in group.commands.items():
        yield (*path, name)
        if hasattr(command, "commands"):
            yield from list_commands(command, (*path, name))


def find(path: tuple[str, ...]) -> Any:
    command = GROUP
    for name in path:
        command = command.commands[name]
    return command


COMMANDS = list(list_commands())
LEAVES = [path for path in COMMANDS if not hasattr(find(path), "commands")]


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, arguments, env={"COLUMNS": "100"})


def squeeze(text: str) -> str:
    return "".join(text.split())


@pytest.mark.parametrize("path", [(), *COMMANDS], ids=" ".join)
def test_help_shows_every_word_that_is_written(path: tuple[str, ...]) -> None:
    command = find(path)
    shown = squeeze(run(*path, "--help").output)

    assert squeeze(command.help) in shown
    for parameter in command.params:
        assert squeeze(getattr(parameter, "help", None) or "") in shown
    for name in getattr(command, "commands", {}):
        assert squeeze(command.commands[name].help.partition("\n\n")[0]) in shown
    usual = ("COMMAND[ARGS]...", "{FILES}...", "{TABLES}...")  # words that stand for several
    for words in usual:
        shown = shown.replace(words, "")
    assert "..." not in shown


def test_the_commands_stand_in_the_order_of_a_job() -> None:
    names = GROUP.list_commands(None)

    assert names == list(cli.STORY)
    assert set(names) == set(GROUP.commands)
    assert names[:3] == ["init", "list", "run"]


STUDIES = (
    *(("compare",), ("tune",), ("tolerance",), ("tune-compensation",), ("study", "ranking")),
    *(("study", "random-kernels"), ("study", "perturbation")),
)


@pytest.mark.parametrize("path", STUDIES, ids=" ".join)
def test_every_study_takes_the_options_that_say_who_does_its_runs(path: tuple[str, ...]) -> None:
    assert set(WORKERS) <= {parameter.name for parameter in find(path).params}


@pytest.mark.parametrize("argument", ["--version", "version"])
def test_the_version_is_printed(argument: str) -> None:
    done = run(argument)

    assert (done.exit_code, done.output) == (0, f"{__version__}\n")


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_ctrl_c_ends_every_command_with_a_sentence(
    path: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(**_: Any) -> None:
        raise KeyboardInterrupt

    command = find(path)
    monkeypatch.setattr(command, "callback", interrupt)
    monkeypatch.setattr(cli, "app", lambda: GROUP(list(path) + FILLED.get(path, [])))
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    signal.signal(signal.SIGINT, before)

    assert ended.value.code == 130
    assert capsys.readouterr().err == f"{STOPPED}\n"


RUN_COMMANDS = (
    *(
        "design",
        "export-layout",
        "tolerance",
        "tune-compensation",
        "deploy",
        "bundle",
        "live",
        "explore",
        "report",
    ),
)
FILLED: dict[tuple[str, ...], list[str]] = {
    **{(name,): ["somewhere"] for name in RUN_COMMANDS},
    ("reproduce",): ["all"],
    ("list",): ["teachers"],
    ("captures", "template"): ["somewhere"],
    ("captures", "import"): ["somewhere"],
    ("captures", "simulate"): ["somewhere"],
    ("captures", "agreement"): ["maps.npz"],
    ("predict",): ["somewhere", "else"],
    ("compensate",): ["somewhere", "--captures", "elsewhere"],
}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            "tolerance here --threshold 95",
            "95 is not allowed; it must be a share from 0 to 1: 0.",
        ),
        ("tolerance here --threshold nan", "nan is not allowed"),
        ("tolerance here --threshold -0.1", "-0.1 is not allowed"),
        ("tolerance here --threshold 1:30", "--threshold"),
        ("tolerance here --chips 0", "--chips"),
        ("tolerance here --chips 2.5", "--chips"),
        ("tune-compensation here --chips -1", "--chips"),
        ("compensate here --captures there --fraction 0", "0 is not allowed; it must be a share a"),
        ("compensate here --captures there --fraction 10", "10 is not allowed"),
        ("compensate here --captures there --fraction inf", "inf is not allowed"),
        ("compare --seeds 0", "--seeds"),
        *(
            (f"{command} 99999999999999999999999", "less than or equal to 10000")
            for command in (
                *("compare --seeds", "tune --seeds", "study ranking --seeds"),
                *("study ranking --designs", "study random-kernels --seeds"),
                *("study perturbation --draws", "tolerance here --chips"),
                "tune-compensation here --chips",
            )
        ),
        (
            "captures template here --test-images 99999999999999999999999",
            "equal to 1000000000",
        ),
        (
            "study random-kernels --train-images 99999999999999999999999",
            "equal to 1000000000",
        ),
        ("tune --seeds 0", "--seeds"),
        ("study ranking --seeds 0", "--seeds"),
        ("study ranking --designs 0", "--designs"),
        ("study random-kernels --seeds 0", "--seeds"),
        ("study random-kernels --train-images 0", "--train-images"),
        ("study perturbation --draws 0", "--draws"),
        ("export-layout here --memory-gb 0", "0 is not allowed; it must be a number above 0"),
        ("export-layout here --memory-gb nan", "nan is not allowed"),
        ("export-layout here --tone grey", "grey"),
        ("captures template here --fraction 10", "10 is not allowed"),
        ("captures template here --fraction nan", "nan is not allowed"),
        ("captures template here --test-images -1", "--test-images"),
        ("captures template here --exposure-s 0", "0 is not allowed"),
        ("captures template here --exposure-s inf", "inf is not allowed"),
        ("captures import here --pixels-per-feature nan", "nan is not allowed"),
        ("captures import here --camera-pixel-um 0", "0 is not allowed"),
        ("captures import here --bit-depth 0", "--bit-depth"),
        ("optics library --height-nm 0", "0 is not allowed"),
        ("optics library --period-nm nan", "nan is not allowed"),
        ("optics library --minimum-gap-nm -1", "-1 is not allowed; it must be 0 or more"),
        ("optics library --harmonics 0", "--harmonics"),
        ("optics library --harmonics 1000", "--harmonics"),
    ],
)
def test_an_option_out_of_its_bounds_is_refused(words: str, said: str) -> None:
    done = run(*words.split())

    assert done.exit_code == 2
    assert "Invalid value for" in done.output
    assert said in " ".join(done.output.split())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("compare --methods kd,kd", "an entry is named twice"),
        ("compare --methods ,", "allowed is any of"),
        ("compare --methods ntk", "allowed is any of"),
        ("tune --grid epochs=1 --grid epochs=2", "epochs is given twice"),
        ("tune --grid epochs=1,1", "an entry is named twice"),
        ("tune --grid epochs=", "an entry between commas is empty"),
        ("tune --grid epochs=&a", "anchor"),
        ("run --set training.epochs=yes", "allowed is a whole number"),
        ("run nowhere.yaml", "cannot read nowhere.yaml: No such file"),
        ("run .", "cannot read .: Is a directory; name a YAML file"),
        ("design nowhere", "nowhere is no run folder"),
        ("tolerance . --preset x", "is no run folder"),
        ("report nowhere", "nowhere"),
        ("optics show nowhere.csv", "nowhere.csv"),
        ("optics library --widths-nm 1,1", "is given twice"),
        ("optics library --widths-nm nan", "is not a length"),
        ("optics library --material .", "."),
        ("study random-kernels --kernels 0", "allowed is 1 to 1,000,000"),
        ("study random-kernels --kernels 4,4", "an entry is named twice"),
        ("study random-kernels --kernels ,", "allowed is numbers from 1 up"),
        ("study ranking --kernels design,design", "each once"),
    ],
)
def test_a_fault_of_the_user_is_one_sentence(
    words: str,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Any,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["hybridonn", *words.split()])
    with pytest.raises(SystemExit) as ended:
        cli.main()

    error = capsys.readouterr().err
    assert ended.value.code == 1
    assert error.startswith("error: ")
    assert said in error
    assert error.count("\n") == 1
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    ],
)
def test_memory_that_is_used_up_is_one_sentence(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(SystemExit) as ended:
        cli.main()

    assert ended.value.code == 1
    assert capsys.readouterr().err.startswith("error: memory is used up; lower data.size_pixels")


def test_a_fault_of_the_program_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(RuntimeError, match="a bug"):
        cli.main()


ODD = ("[/x]", "[red]a[/red]", "[link=file:///x]y[/link]", ":smile:", "a\\[b]")


@pytest.mark.parametrize("name", ODD)
def test_names_are_shown_as_they_are(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    open_console().print(name)
    print_table(name, {"teacher": {"name": name}})
    with show_bars() as progress:
        progress.say(name)
        with progress.bar(name, 1) as advance:
            advance(1, name)

    captured = capsys.readouterr()
    assert captured.out.count(name) == 3
    assert captured.err.count(name) >= 3


def test_shares_are_shown_in_per_cent_and_their_differences_in_points(
    capsys: pytest.CaptureFixture[str],
) -> None:
    numbers = {"accuracy": 0.9876, "miou": 0.5, "uncertainty": 0.0053, "teacher_margin": -0.012}
    numbers |= {"drop": 0.25, "seconds": 2.0, "images": 1294}
    with choose_output(as_json=False, quiet=False, verbose=True):
        print_table("run", {"stage": numbers})
    shown = capsys.readouterr().out
    for value in ("98.76 %", "50.00 %", "0.53 points", "-1.20 points", "25.00 points", "1,294"):
        assert value in shown
