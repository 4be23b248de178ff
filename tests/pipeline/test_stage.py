"""The folder of a stage: made once, whole or not at all, and checked before it is used."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Event

import pytest

from hybridonn.core import stage_record
from hybridonn.core.errors import ArtefactError
from hybridonn.core.files import checksum_of, read_json, write_json
from hybridonn.core.parts import part_of
from hybridonn.pipeline import stage_folder
from hybridonn.pipeline.fingerprint import fingerprint
from hybridonn.pipeline.stage_folder import finish, read_stage


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


def test_what_several_runs_want_at_the_same_moment_is_made_once(tmp_path):
    made, said = [], []

    def work(part):
        made.append(part)
        time.sleep(0.2)  # long enough for all to be there
        return write("one")(part)

    def want(name):
        return finish(tmp_path / name / "s", "a", work, "kind", said.append)

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(want, "wxyz"))
    assert len(made) == 1
    assert sorted(one.reused for one in found) == [False, True, True, True]
    assert said == 3 * ["another command makes the same s; this one waits and takes it"]
    assert {(one.folder / "artefact").read_text() for one in found} == {"one"}
    assert not any((tmp_path / "cache" / ".locks").iterdir())


def test_who_waits_for_what_then_fails_makes_it(tmp_path):
    begun = Event()

    def fail(part):
        begun.set()
        time.sleep(0.2)
        raise ArtefactError("the disk is full")

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(finish, tmp_path / "x" / "s", "a", fail, "kind")
        begun.wait()
        assert not finish(tmp_path / "y" / "s", "a", write("one"), "kind").reused
    assert isinstance(first.exception(), ArtefactError)


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


def flip(path):
    """Damage a file without changing its size."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_a_file_that_was_damaged_in_its_size_is_made_again_and_said(tmp_path):
    finish(tmp_path / "s", "a", write("one"))
    flip(tmp_path / "s" / "artefact")
    said = []
    assert not finish(tmp_path / "s", "a", write("one"), say=said.append).reused
    assert (tmp_path / "s" / "artefact").read_text() == "one"
    assert len(said) == 1
    assert "s/artefact is damaged" in said[0] and "made again" in said[0]


def test_a_damaged_copy_in_the_cache_is_not_taken_and_is_replaced(tmp_path):
    finish(tmp_path / "x" / "s", "a", write("one"), shared="kind")
    store = tmp_path / "cache" / "kind" / "a"
    flip(store / "artefact")
    said = []
    other = finish(tmp_path / "y" / "s", "a", write("one"), shared="kind", say=said.append)
    assert not other.reused
    assert said == [line for line in said if "cache/kind/a/artefact is damaged" in line] != []
    assert finish(tmp_path / "z" / "s", "a", never, shared="kind").reused
    assert sorted(path.name for path in store.parent.iterdir()) == ["a"]


DAMAGED = {
    "empty": b"",
    "no text": b"\xff\xfe\x00",
    "no JSON": b"{",
    "a list": b"[]",
    "null": b"null",
    "a number": b"7",
    "deep": b"[" * 100_000,
    "no results": b'{"fingerprint": "a", "files": {}, "seconds": 1.0}',
    "other kinds": b'{"fingerprint": "a", "files": [], "seconds": "x", "results": 3}',
    "no checksum": b'{"fingerprint": "a", "files": {}, "seconds": 1.0, "results": {}}',
}


@pytest.mark.parametrize("where", ["run", "cache"])
@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_record_that_is_damaged_in_any_way_is_made_again(tmp_path, where, content):
    finish(tmp_path / "x" / "s", "a", write("one"), shared="kind")
    place = tmp_path / "x" / "s" if where == "run" else tmp_path / "cache" / "kind" / "a"
    (place / "stage.json").write_bytes(content)
    shared = "kind" if where == "cache" else None
    target = tmp_path / ("x" if where == "run" else "y") / "s"
    said = []
    again = finish(target, "a", write("one"), shared=shared, say=said.append)
    assert (again.reused, again.results) == (False, {"number": 3})
    assert len(said) == 1 and "stage.json is damaged" in said[0]
    assert finish(target, "a", never, shared=shared).reused


def test_a_number_that_was_changed_in_the_record_is_not_believed(tmp_path):
    finish(tmp_path / "s", "a", write("one"))
    record = read_json(tmp_path / "s" / "stage.json")
    write_json(tmp_path / "s" / "stage.json", record | {"results": {"number": 4}})
    with pytest.raises(ArtefactError, match=r"stage\.json is damaged.*run the spec of this run"):
        read_stage(tmp_path / "s")
    assert finish(tmp_path / "s", "a", write("one")).results == {"number": 3}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_damaged_inputs_of_an_interrupted_stage_begin_it_anew(tmp_path, content):
    (tmp_path / ".s.part").mkdir()
    (tmp_path / ".s.part" / "inputs.json").write_bytes(content)
    (tmp_path / ".s.part" / "rest").touch()
    finish(tmp_path / "s", "another", write("one"))
    assert sorted(path.name for path in (tmp_path / "s").iterdir()) == ["artefact", "stage.json"]


def test_a_record_cannot_name_files_elsewhere(tmp_path):
    finish(tmp_path / "x" / "s", "a", write("one"), shared="kind")
    store = tmp_path / "cache" / "kind" / "a"
    record = read_json(store / "stage.json")
    del record["checksum"]
    record["files"] = {"../../../secret": "crc32:00000000:0"}
    write_json(store / "stage.json", record | {"checksum": checksum_of(record)})
    (tmp_path / "secret").touch()
    assert not finish(tmp_path / "y" / "s", "a", write("one"), shared="kind").reused


def test_a_file_that_is_laid_beside_the_artefacts_does_no_harm(tmp_path):
    finish(tmp_path / "s", "a", write("one"))
    (tmp_path / "s" / "notes.txt").write_text("mine")
    assert finish(tmp_path / "s", "a", never).reused


def test_artefacts_are_read_once_a_process(tmp_path, monkeypatch):
    finish(tmp_path / "s", "a", write("one"))
    read, real = [], stage_record.checksum
    monkeypatch.setattr(stage_record, "checksum", lambda path: read.append(path) or real(path))
    for _ in range(3):
        finish(tmp_path / "s", "a", never)
    read_stage(tmp_path / "s")
    assert [path.name for path in read] == ["artefact"]


def test_checkpoints_are_removed_last_and_are_no_artefacts(tmp_path, monkeypatch):
    def work(part):
        (part / "checkpoint.safetensors").touch()
        (part / "checkpoint_kernels").mkdir()
        (part / "checkpoint_kernels" / "1").touch()
        return write("one")(part)

    def cut(path):
        assert (tmp_path / ".s.part" / "checkpoint.safetensors").exists()
        assert (tmp_path / ".s.part" / "stage.json").exists()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(stage_folder, "sync", cut)
        with pytest.raises(KeyboardInterrupt):
            finish(tmp_path / "s", "a", work)
    finish(tmp_path / "s", "a", never)
    names = sorted(path.name for path in (tmp_path / "s").rglob("*"))
    assert names == ["artefact", "stage.json"]
    assert list(read_json(tmp_path / "s" / "stage.json")["files"]) == ["artefact"]


def test_files_and_their_folder_are_on_the_disk_before_the_stage_takes_its_name(
    tmp_path, monkeypatch
):
    synced = []

    def note(path):
        synced.append((path.name, (tmp_path / "s").exists()))

    monkeypatch.setattr(stage_folder, "sync", note)
    finish(tmp_path / "s", "a", write("one"))
    assert synced == [
        *(("artefact", False), ("stage.json", False), (".s.part", False)),
        (tmp_path.name, True),
    ]


def test_a_file_that_a_kill_left_half_written_is_no_artefact(tmp_path):
    def interrupted(part):
        part_of(part / "artefact").write_text("o")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        finish(tmp_path / "s", "a", interrupted)
    finish(tmp_path / "s", "a", write("one"), shared="kind")
    for place in (tmp_path / "s", tmp_path / "cache" / "kind" / "a"):
        assert sorted(path.name for path in place.iterdir()) == ["artefact", "stage.json"]


def test_an_error_that_left_nothing_to_go_on_with_leaves_no_folder(tmp_path):
    with pytest.raises(AssertionError):
        finish(tmp_path / "s", "a", never)
    assert not list(tmp_path.iterdir())


def test_a_stage_that_is_read_and_not_finished_is_one_sentence(tmp_path):
    with pytest.raises(ArtefactError, match=r"s.stage\.json is missing, so the stage s is not"):
        read_stage(tmp_path / "s")


def test_a_damaged_copy_in_the_cache_does_not_cost_the_checkpoint(tmp_path):
    finish(tmp_path / "x" / "s", "a", write("one"), shared="kind")
    flip(tmp_path / "cache" / "kind" / "a" / "artefact")

    def interrupted(part):
        (part / "checkpoint").touch()
        raise KeyboardInterrupt

    seen = []

    def look(part):
        seen.append((part / "checkpoint").exists())
        return write("one")(part)

    for work in (interrupted, look):
        with suppress(KeyboardInterrupt):
            finish(tmp_path / "y" / "s", "a", work, shared="kind")
    assert seen == [True]


def test_a_copy_from_the_cache_leaves_nothing_of_an_interrupted_run(tmp_path):
    finish(tmp_path / "x" / "s", "a", write("one"), shared="kind")
    (tmp_path / "y" / ".s.part").mkdir(parents=True)
    assert finish(tmp_path / "y" / "s", "a", never, shared="kind").reused
    assert [path.name for path in (tmp_path / "y").iterdir()] == ["s"]
