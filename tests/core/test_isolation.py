"""A reader in a child process: results cross unchanged, and whatever it does is a sentence."""

import sys
import time
from pathlib import Path

import numpy as np
import pytest

from hybridonn.core.errors import DataError
from hybridonn.core.isolation import IsolationError, pack, read_isolated, unpack

PATH = Path("pictures.mat")


@pytest.fixture
def readers(monkeypatch):
    """The module beside this file; a child finds it as its parent does."""
    monkeypatch.syspath_prepend(Path(__file__).parent)
    import isolated_readers

    return isolated_readers


def test_plain_data_and_arrays_cross_unchanged(readers):
    tree = (
        None,
        [True, 1, 2.5, "text\nof two lines", float("inf")],
        {3: PATH, ("a", 1): [np.float32(1.5)]},
        np.arange(6, dtype=np.uint16).reshape(2, 3),
        np.zeros((0, 4)),
    )
    found = read_isolated(readers.give_back, *tree, what="it")
    assert found[:2] == tree[:2]
    assert found[2] == tree[2]
    assert found[2]["a", 1][0].dtype == np.float32
    np.testing.assert_array_equal(found[3], tree[3])
    assert found[3].dtype == np.uint16
    assert found[4].shape == (0, 4)


def test_packing_refuses_what_would_need_pickle():
    with pytest.raises(TypeError, match="a set cannot be passed"):
        pack({"a": {1, 2}})
    with pytest.raises(ValueError, match="Object arrays"):
        pack(np.array([object()]))
    assert unpack(pack({"tuple": (1,)})) == {"tuple": (1,)}


@pytest.mark.parametrize(
    ("reader", "bounds", "sentence"),
    [
        ("crash", {}, "SIGSEGV.*it is damaged, or needs more than 1 GB"),
        ("sleep", {"seconds": 0.5}, "longer than 0.5 s"),
        ("stumble", {}, "KeyError: 'header'"),
    ],
)
def test_whatever_a_reader_does_is_a_sentence(readers, reader, bounds, sentence):
    with pytest.raises(IsolationError, match=f"the file pictures.mat cannot be read: .*{sentence}"):
        read_isolated(getattr(readers, reader), PATH, what=f"the file {PATH}", **bounds)


def test_a_process_whose_parent_is_gone_ends_by_itself(readers, monkeypatch):
    # The bound on processor time is the child's own; here nothing else ends it.
    from hybridonn.core import isolation

    run = isolation.subprocess.run
    monkeypatch.setattr(
        isolation.subprocess, "run", lambda *args, timeout, **rest: run(*args, **rest)
    )
    started = time.monotonic()
    with pytest.raises(IsolationError, match=r"longer than 0\.1 s"):
        read_isolated(readers.spin, PATH, what="it", seconds=0.1)
    assert time.monotonic() - started < 30


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux bounds the memory of a process")
def test_memory_is_bounded(readers):
    assert read_isolated(readers.take_memory, 0.05, what="it", memory_gb=0.2) == 1
    with pytest.raises(IsolationError, match=r"more than 0.2 GB of memory"):
        read_isolated(readers.take_memory, 0.4, what="it", memory_gb=0.2)


def test_an_error_of_the_project_keeps_its_class_and_message(readers):
    with pytest.raises(DataError, match=r"^pictures.mat holds no images$"):
        read_isolated(readers.refuse, PATH, what="it")


def test_results_that_hold_objects_are_refused(readers):
    with pytest.raises(IsolationError, match="Object arrays"):
        read_isolated(readers.give_objects, what="it")
