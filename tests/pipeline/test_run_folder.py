"""The folder of a run: one owner at a time, one run, every number."""

import pytest

from hybridonn.core.errors import ArtefactError
from hybridonn.core.files import read_json
from hybridonn.core.parts import part_of
from hybridonn.pipeline.run_folder import (
    add_results,
    open_folder,
    read_run_spec,
    sweep_stages,
    write_results,
)
from hybridonn.pipeline.stage_folder import finish
from hybridonn.spec import read_spec

MINE, OTHER = read_spec(None, ("name=mine",)), read_spec(None, ("name=other",))


def test_results_are_added_by_stage(tmp_path):
    add_results(tmp_path, {"layout": {"kernels": 8}})
    add_results(tmp_path, {"student": {"parameters": {"optical": 3}}})
    assert read_json(tmp_path / "results.json") == {
        "layout": {"kernels": 8},
        "student": {"parameters": {"optical": 3}},
    }


def test_a_folder_of_other_things_is_not_written_into(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(ArtefactError, match="not a run folder"), open_folder(tmp_path):
        pass
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_one_owner_at_a_time(tmp_path):
    with (
        open_folder(tmp_path / "run"),
        pytest.raises(ArtefactError, match="in use"),
        open_folder(tmp_path / "run"),
    ):
        pass
    with open_folder(tmp_path / "run"):
        pass


def test_a_run_folder_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(ArtefactError, match="cannot write the run folder"):
        open_folder(tmp_path / "file" / "run").__enter__()


def fill(folder, spec):
    """A run of a spec that has begun."""
    with open_folder(folder, spec):
        finish(folder / "layout", "a", lambda part: {"kernels": 8})
        write_results(folder, {"layout": {"kernels": 8}})


def test_a_run_of_another_name_is_not_replaced(tmp_path):
    fill(tmp_path / "run", MINE)
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*.*") if path.is_file()}
    sentence = r"holds the run mine, and this spec is other; .* --out, or let it .* --replace"
    for _ in range(2):
        with pytest.raises(ArtefactError, match=sentence):
            open_folder(tmp_path / "run", OTHER, False).__enter__()
    with pytest.raises(ArtefactError, match=r"with --out, or remove it"):
        open_folder(tmp_path / "run", OTHER).__enter__()
    assert {path: path.read_bytes() for path in before} == before
    with open_folder(tmp_path / "run", read_spec(None, ("name=mine", "seed=4"))):
        pass


def test_an_interrupted_first_run_counts_too(tmp_path):
    with pytest.raises(KeyboardInterrupt), open_folder(tmp_path / "run", MINE):
        (tmp_path / "run" / ".student.part").mkdir()
        raise KeyboardInterrupt
    with pytest.raises(ArtefactError, match="holds the run mine"):
        open_folder(tmp_path / "run", OTHER, False).__enter__()


def test_replaced_means_that_no_number_of_the_other_run_is_left(tmp_path):
    fill(tmp_path / "run", MINE)
    (tmp_path / "run" / "report.html").touch()
    (tmp_path / "run" / "captures").mkdir()
    with open_folder(tmp_path / "run", OTHER, True):
        pass
    assert read_run_spec(tmp_path / "run").name == "other"
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names == {".lock", "spec.yaml", "layout", "captures"}


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b"name: [", b"name: {a: 1}", b"x: 1"])
def test_a_damaged_spec_in_the_folder_does_not_stop_the_run(tmp_path, content):
    fill(tmp_path / "run", MINE)
    (tmp_path / "run" / "spec.yaml").write_bytes(content)
    with open_folder(tmp_path / "run", OTHER, False):
        pass


def test_a_refused_run_leaves_nothing_and_claims_nothing(tmp_path):
    for folder in (tmp_path / "new", tmp_path / "empty"):
        with pytest.raises(ArtefactError, match="refused"), open_folder(folder, MINE, False):
            raise ArtefactError("refused")
        (tmp_path / "empty").mkdir(exist_ok=True)
    assert not (tmp_path / "new").exists()
    with open_folder(tmp_path / "empty", OTHER, False):
        assert read_run_spec(tmp_path / "empty").name == "other"


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"\xff\xfe", b"{", b"7", b'{"layout": 7}', b"null"]
)
def test_damaged_results_are_gathered_from_the_stages(tmp_path, content):
    fill(tmp_path, MINE)
    (tmp_path / "results.json").write_bytes(content)
    assert add_results(tmp_path, {"estimate": {"accuracy": 0.9}}) == {
        "layout": {"kernels": 8},
        "estimate": {"accuracy": 0.9},
    }


def test_a_run_has_the_numbers_of_its_own_stages_and_those_of_captures(tmp_path):
    measured = {"accuracy": 0.9, "source": "captures"}
    add_results(tmp_path, {"metasurface": {"accuracy": 0.8}, "compensated": measured})
    found = write_results(tmp_path, {"student": {"accuracy": 0.95}})
    assert found == {"compensated": measured, "student": {"accuracy": 0.95}}
    assert read_json(tmp_path / "results.json") == found
    simulated = {"accuracy": 0.7, "source": "simulation"}
    assert write_results(tmp_path, {"compensated": simulated}) == {"compensated": simulated}
    assert write_results(tmp_path, {"student": {}}) == {"student": {}}


def test_what_kills_left_in_the_folder_is_swept(tmp_path):
    fill(tmp_path, MINE)
    torn = part_of(tmp_path / "results.json")
    torn = torn.with_name(torn.name.replace(torn.name.split(".")[3].split("@")[0], "999999999"))
    torn.touch()
    (tmp_path / ".student.old").mkdir()
    (tmp_path / ".student.part").mkdir()
    with open_folder(tmp_path):
        assert not torn.exists() and not (tmp_path / ".student.old").exists()
        assert (tmp_path / ".student.part").exists()  # to go on with
        sweep_stages(tmp_path)
    assert not list(tmp_path.glob(".*.part"))
