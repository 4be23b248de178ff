"""A first spec is written in one command, and what it can name is listed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

from hybridonn.cli import start
from hybridonn.cli.app import app
from hybridonn.core.errors import SpecError
from hybridonn.data.readers.table import DATA_SETS
from hybridonn.explorer.estimates import lay_out
from hybridonn.networks.teachers.table import TEACHERS
from hybridonn.spec import read_spec
from hybridonn.spec.examples import list_examples
from hybridonn.spec.presets import PRESETS
from hybridonn.spec.schema import find_schema
from hybridonn.spec.starter import SCHEMA_LINE, copy_example, write_starter
from hybridonn.spec.systems import SYSTEMS

ROOT = Path(__file__).parents[2]


def run(*arguments: str, **more: Any) -> Any:
    return CliRunner().invoke(app, arguments, env={"COLUMNS": "200"}, **more)


def test_the_examples_of_the_package_are_those_of_the_checkout() -> None:
    stated = {path.stem: path.read_text() for path in (ROOT / "examples").glob("*.yaml")}

    assert {name: path.read_text() for name, path in list_examples().items()} == stated
    assert "mnist" in stated


@pytest.mark.parametrize("name", DATA_SETS)
def test_a_new_spec_of_every_data_set_says_what_was_answered(name: str, tmp_path: Path) -> None:
    folder = {"data.folder": "my images"} if DATA_SETS[name].folder == "required" else {}
    text = write_starter({"name": "mine", "data.name": name, **folder})
    (tmp_path / "mine.yaml").write_text(text)

    spec = read_spec(tmp_path / "mine.yaml")
    assert (spec.name, spec.data.name, spec.task) == ("mine", name, DATA_SETS[name].task)
    lines = text.splitlines()
    assert lines[0] == SCHEMA_LINE + find_schema().resolve().as_posix()
    for number, line in enumerate(lines):
        if not line.lstrip().startswith("#"):  # above each key stands what it means
            assert lines[number - 1].lstrip().startswith("#")


@pytest.mark.parametrize("kind", ["teachers", "students", "presets", "datasets", "examples"])
def test_a_name_is_listed_in_one_piece_on_a_narrow_terminal(kind: str) -> None:
    names = [
        row["name"] for row in json.loads(run("list", kind, "--json").output)["tables"][0]["rows"]
    ]
    shown = CliRunner().invoke(app, ["list", kind], env={"COLUMNS": "80"}).output

    words = shown.split()
    assert [name for name in names if name not in words] == []
    assert max(map(len, shown.splitlines())) <= 80


def test_a_kind_that_cannot_be_listed_is_refused_in_a_sentence() -> None:
    done = run("list", "methods")

    assert done.exit_code == 2
    assert "Value error" not in done.output
    assert "'methods' is not one of 'teachers', 'students'" in " ".join(done.output.split())


def test_rows_of_a_pipe_are_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    lines = CliRunner().invoke(app, ["list", "datasets"]).output.splitlines()

    (row,) = [line for line in lines if "coco_stuff10k" in line]
    assert DATA_SETS["coco_stuff10k"].origin in row


def test_init_writes_what_the_options_say(tmp_path: Path) -> None:
    path = tmp_path / "my chip.yaml"
    done = run("init", str(path), "--data", "mnist", "--width-mm", "2", "--kernels", "4")

    assert done.exit_code == 0
    spec = read_spec(path)
    assert (spec.name, spec.data.name, spec.student.kernels) == ("my-chip", "mnist", 4)
    assert (spec.optics.metasurface_width_mm, spec.optics.metasurface_height_mm) == (2.0, 4.0)


@pytest.mark.parametrize(("mode", "colour"), [("L", "grey"), ("RGB", "rgb")])
def test_init_looks_whether_the_images_are_grey(mode: str, colour: str, tmp_path: Path) -> None:
    for name in ("a", "b"):
        for number in range(3):
            file = tmp_path / "my images" / name / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.new(mode, (24, 20), 50).save(file)
    path = tmp_path / "mine.yaml"
    layout = ("--data", "image_folder", "--folder", str(tmp_path / "my images"))

    assert run("init", str(path), *layout).exit_code == 0
    assert read_spec(path).data.colour == colour


def test_init_asks_on_a_terminal_for_what_is_not_stated(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def answer(question: str, default: Any) -> Any:
        asked.append(question)
        return "image_folder" if question.startswith("data set") else default

    stated = {"optics.metasurface_width_mm": 3.0}
    answers = start._complete(Path("mine.yaml"), stated, answer)

    assert [question.split(" (")[0] for question in asked] == [
        "data set",
        "folder of the images",
        "height of the metasurface in mm",
        "number of optical kernels",
    ]
    assert answers["data.folder"] == "images"
    assert answers["name"] == "mine"


def test_init_copies_an_example_with_its_comments(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    assert run("init", str(path), "--from", "mnist").exit_code == 0

    first, _, rest = path.read_text().partition("\n")
    assert first == SCHEMA_LINE + find_schema().resolve().as_posix()
    stated = (ROOT / "examples" / "mnist.yaml").read_text().partition("\n")[2]
    assert rest == stated.replace("examples/mnist.yaml", str(path))


@pytest.mark.parametrize("name", list_examples())
def test_the_comments_of_a_copied_example_are_true_where_it_lies(name: str, tmp_path: Path) -> None:
    text = copy_example(name, Path("my chip.yaml"))

    assert "examples/" not in text
    assert "docs/" not in text
    assert "../" not in text
    schema = Path(text.partition("\n")[0].removeprefix(SCHEMA_LINE))
    assert schema.is_absolute()
    assert schema.is_file()
    for line in text.splitlines():  # what a comment names as a command works when it is pasted
        if re.match(r"#   hybridonn (run|compare|data check|study)", line):
            assert "'my chip.yaml'" in line
    stated = list_examples()[name].read_text("utf-8")
    assert yaml.safe_load(text) == yaml.safe_load(stated)


@pytest.mark.parametrize(
    ("typed", "offered"),
    [("--from mnist_4", "mnist_4f"), ("--from=nmist", ""), ("--data cifar100", "cifar100")],
)
def test_a_shell_completes_the_names_of_examples_and_data_sets(typed: str, offered: str) -> None:
    words = f"hybridonn init {typed}"
    told = {"COMP_WORDS": words, "COMP_CWORD": "3", "_HYBRIDONN_COMPLETE": "complete_bash"}
    done = CliRunner().invoke(app, [], prog_name="hybridonn", env=told)

    assert done.exit_code == 0
    assert done.output.split()[:1] == offered.split()


def test_init_keeps_a_file_that_is_there(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("precious")

    assert isinstance(run("init", str(path)).exception, SpecError)
    assert path.read_text() == "precious"
    assert run("init", str(path), "--replace").exit_code == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--from nmist", "'nmist' is no example; the examples are bccd"),
        ("--data nmist", "'nmist' is no data set; allowed are cifar10"),
    ],
)
def test_init_says_what_there_is(words: str, said: str, tmp_path: Path) -> None:
    done = run("init", str(tmp_path / "mine.yaml"), *words.split())

    assert isinstance(done.exception, SpecError)
    assert said in str(done.exception)
    assert not [*tmp_path.iterdir()]


def test_networks_with_branches_take_no_number_of_kernels(tmp_path: Path) -> None:
    words = ("--data", "mask_folder", "--folder", str(tmp_path), "--kernels", "4")
    done = run("init", str(tmp_path / "mine.yaml"), *words)

    assert done.exit_code == 2
    assert "--kernels is 4" in done.output and "student.branches" in done.output
    assert not [*tmp_path.iterdir()]


def test_an_example_is_copied_as_it_is_or_not_at_all(tmp_path: Path) -> None:
    done = run("init", str(tmp_path / "mine.yaml"), "--from", "mnist", "--kernels", "4")

    assert done.exit_code == 2
    assert not [*tmp_path.iterdir()]
    with pytest.raises(SpecError, match="no example"):
        copy_example("nmist", tmp_path / "mine.yaml")


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("teachers", TEACHERS),
        ("students", SYSTEMS),
        ("presets", PRESETS),
        ("datasets", DATA_SETS),
        ("examples", list_examples()),
    ],
)
def test_everything_that_a_spec_can_name_is_listed(kind: str, names: Any) -> None:
    shown = run("list", kind).output

    for name in names:
        assert f"{name} " in shown


@pytest.mark.parametrize("name", DATA_SETS)
def test_the_kernels_of_a_new_spec_find_room(name: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    folder = ["--folder", "images"] if DATA_SETS[name].folder == "required" else []
    done = run("init", str(path), "--data", name, *folder)

    assert f"next: hybridonn data check {path}" in done.output
    lay_out(read_spec(path))
