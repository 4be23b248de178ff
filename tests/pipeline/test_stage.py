"""Stages: done once, whole or not at all."""

import pytest

from hybridonn.errors import ArtefactError
from hybridonn.files import read_json
from hybridonn.pipeline.fingerprint import fingerprint
from hybridonn.pipeline.folder import add_results, open_folder
from hybridonn.pipeline.stage_folder import finish


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HYBRIDONN_CACHE", str(tmp_path / "cache"))


def write(text):
    def work(part):
        (part / "artefact").write_text(text)
        return {"number": len(text)}

    return work


def never(part):
    raise AssertionError("the stage was done again")


def test_a_finished_stage_is_kept_and_another_input_redoes_it(tmp_path):
    first = finish(tmp_path / "s", "a", write("one"))
    again = finish(tmp_path / "s", "a", never)
    assert (first.reused, again.reused, again.results) == (False, True, {"number": 3})
    assert finish(tmp_path / "s", "b", write("three")).results == {"number": 5}
    assert (tmp_path / "s" / "artefact").read_text() == "three"
    assert [p.name for p in tmp_path.iterdir()] == ["s"]


def test_an_error_leaves_the_earlier_stage_as_it_was(tmp_path):
    finish(tmp_path / "s", "a", write("one"))

    def fail(part):
        (part / "artefact").write_text("half")
        raise ArtefactError("the disk is full")

    with pytest.raises(ArtefactError):
        finish(tmp_path / "s", "b", fail)
    assert (tmp_path / "s" / "artefact").read_text() == "one"


def test_an_interrupted_stage_finds_what_it_left_only_for_the_same_inputs(tmp_path):
    def interrupted(part):
        (part / "checkpoint").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        finish(tmp_path / "s", "a", interrupted)
    seen = []

    def look(part):
        seen.append((part / "checkpoint").exists())
        return {}

    finish(tmp_path / "s", "a", look)
    with pytest.raises(KeyboardInterrupt):
        finish(tmp_path / "s", "b", interrupted)
    finish(tmp_path / "s", "c", look)
    assert seen == [True, False]


def test_a_kill_between_the_last_two_steps_loses_nothing(tmp_path):
    finish(tmp_path / "s", "a", write("one"))
    (tmp_path / "s").rename(tmp_path / ".s.part")
    assert finish(tmp_path / "s", "a", never).results == {"number": 3}


def test_a_shared_stage_is_taken_from_the_cache_by_another_run(tmp_path):
    finish(tmp_path / "x" / "s", "a", write("one"), shared="kind")
    other = finish(tmp_path / "y" / "s", "a", never, shared="kind")
    assert other.reused
    assert (tmp_path / "y" / "s" / "artefact").read_text() == "one"


def test_a_damaged_stage_is_done_again(tmp_path):
    finish(tmp_path / "s", "a", write("one"))
    (tmp_path / "s" / "stage.json").write_text("{")
    assert not finish(tmp_path / "s", "a", write("one")).reused


@pytest.mark.parametrize("harm", [lambda p: p.unlink(), lambda p: p.write_text("o")])
def test_a_stage_that_lost_a_file_is_done_again_and_the_shared_copy_is_sound(tmp_path, harm):
    finish(tmp_path / "s", "a", write("one"), shared="kind")
    harm(tmp_path / "s" / "artefact")
    again = finish(tmp_path / "s", "a", never, shared="kind")
    assert again.reused
    assert (tmp_path / "s" / "artefact").read_text() == "one"
    harm(tmp_path / "s" / "artefact")
    assert not finish(tmp_path / "s", "a", write("one")).reused


def test_the_fingerprint_changes_with_each_part():
    prints = {fingerprint(), fingerprint(a=1), fingerprint(a=2), fingerprint(b=1)}
    assert len(prints) == 4
    assert fingerprint(a=1, b=2) == fingerprint(b=2, a=1)


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
