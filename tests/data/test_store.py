import os
import sys
from multiprocessing import get_context

import numpy as np
import pytest

from hybridonn.core.errors import DataError
from hybridonn.core.parts import part_of
from hybridonn.data.store import create_array, find_stored, store


def fill(part):
    np.save(part / "images.npy", np.arange(12, dtype=np.uint8).reshape(3, 4))
    return {"kept": [0, 2]}


def test_what_is_stored_is_found_again(cache):
    assert find_stored("key") is None
    for stored in (store("key", fill), find_stored("key")):
        assert stored is not None
        np.testing.assert_array_equal(stored.arrays["images"], np.arange(12).reshape(3, 4))
        assert isinstance(stored.arrays["images"], np.memmap)
        assert stored.notes == {"kept": [0, 2]}
    assert find_stored("other") is None


def test_work_that_fails_leaves_nothing(cache):
    def fail(part):
        fill(part)
        raise DataError("x is damaged")

    with pytest.raises(DataError, match="x is damaged"):
        store("key", fail)
    assert list((cache / "pictures").iterdir()) == []
    store("key", fill)
    with pytest.raises(DataError, match="x is damaged"):
        store("key", fail)
    assert find_stored("key") is not None


def test_a_full_disk_says_so(cache):
    def fail(part):
        raise OSError(28, "No space left on device")

    with pytest.raises(DataError, match=r"No space left on device; free some space, or name"):
        store("key", fail)


def test_two_processes_may_store_the_same(cache):
    def other_was_faster(part):
        store_folder = part.parent / "key"
        store_folder.mkdir()
        (store_folder / "record.json").write_text("{}")
        return fill(part)

    assert store("key", other_was_faster).notes == {"kept": [0, 2]}


def test_an_array_takes_its_place_at_once(tmp_path):
    array = create_array(tmp_path / "x.npy", (3, 100, 200))
    assert array.shape == (3, 100, 200)
    assert (tmp_path / "x.npy").stat().st_blocks * 512 >= 60000
    array[1] = 7
    array.flush()
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), array)


def test_a_disk_that_fills_up(cache):
    resource = pytest.importorskip("resource")
    signal = pytest.importorskip("signal")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handled = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))

    def make(part):
        create_array(part / "images.npy", (3, 100, 200))
        return {}

    try:
        with pytest.raises(DataError, match=r"too large; free some space, or name"):
            store("key", make)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handled)
    assert list((cache / "pictures").iterdir()) == []


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000, b'{"checksums": {}, "notes": {}}'],
)
def test_a_record_that_is_damaged_in_any_way_is_made_again(cache, content):
    store("key", fill)
    (cache / "pictures" / "key" / "record.json").write_bytes(content)
    assert find_stored("key") is None
    assert store("key", fill).notes == {"kept": [0, 2]}
    assert find_stored("key") is not None


def test_a_note_that_was_changed_is_not_believed(cache):
    store("key", fill)
    record = cache / "pictures" / "key" / "record.json"
    record.write_text(record.read_text().replace("2", "1", 1))
    assert find_stored("key") is None


def test_what_a_killed_process_left_is_swept(cache):
    left = cache / "pictures" / part_of(cache / "other").name.replace(str(os.getpid()), "999999999")
    left.mkdir(parents=True)
    assert find_stored("key") is None
    assert not left.exists()


def store_often(results):
    for turn in range(60):
        try:
            found = store(f"{turn}", fill)
            results.put(found.arrays["images"].shape == (3, 4))
        except BaseException as error:
            results.put(repr(error))


def test_processes_that_store_the_same_at_the_same_moment_do_not_fail(cache):
    context = get_context("fork" if sys.platform == "linux" else "spawn")
    results = context.Queue()
    some = [context.Process(target=store_often, args=(results,)) for _ in range(4)]
    for process in some:
        process.start()
    found = [results.get(timeout=60) for _ in range(4 * 60)]
    for process in some:
        process.join()
    assert found == [True] * len(found)
    assert not list((cache / "pictures").glob(".*"))
