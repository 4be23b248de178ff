import io
import pickle
import pickletools
import resource

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hybridonn.core.errors import DataError
from hybridonn.data.readers.pickles import read_pickled_dict


class Bomb:
    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def write(path, content, protocol=2):
    path.write_bytes(pickle.dumps(content, protocol))
    return path


@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_lists_and_texts_are_read(tmp_path, protocol, order):
    data = np.asarray(np.arange(24, dtype=np.uint8).reshape(4, 6), order=order)
    content = {"data": data, "labels": [1, 2, 300], "label_names": ["cat", "dog"], b"more": b"x"}
    found = read_pickled_dict(write(tmp_path / "batch", content, protocol))
    assert list(found) == ["data", "labels", "label_names", "more"]
    np.testing.assert_array_equal(found["data"], data)
    assert found["data"].dtype == np.uint8
    assert found["labels"] == [1, 2, 300]


def test_a_batch_as_python_2_wrote_it(tmp_path):
    # Python 2 wrote byte strings as SHORT_BINSTRING and named numpy's functions as they were then.
    rows = (
        b"\x80\x02}q\x01(U\x04dataq\x02cnumpy.core.multiarray\n_reconstruct\nq\x03cnumpy\nndarray\n"
        b"q\x04K\x00\x85q\x05U\x01bq\x06\x87q\x07Rq\x08(K\x01K\x02K\x03\x86q\x09cnumpy\ndtype\n"
        b"q\x0aU\x02u1q\x0bK\x00K\x01\x87q\x0cRq\x0d(K\x03U\x01|q\x0eNNNJ\xff\xff\xff\xffJ\xff\xff"
        b"\xff\xffK\x00tb\x89U\x06\x01\x02\x03\xfd\xfe\xfftbU\x06labels]q\x0f(K\x05K\x06eu."
    )
    pickletools.dis(rows, io.StringIO())  # it is a valid pickle
    path = tmp_path / "batch"
    path.write_bytes(rows)
    found = read_pickled_dict(path)
    assert found["data"].tolist() == [[1, 2, 3], [253, 254, 255]]
    assert found["labels"] == [5, 6]


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize(
    ("module", "function"),
    [("os", "system"), ("builtins", "eval"), ("builtins", "getattr"), ("numpy", "frombuffer")],
)
def test_no_code_is_run(tmp_path, protocol, module, function):
    target = tmp_path / "was-run"
    named = getattr(__import__(module), function)
    bomb = Bomb(named, f"open({str(target)!r}, 'w')" if function == "eval" else f"touch {target}")
    path = write(tmp_path / "batch", {"data": bomb}, protocol)
    with pytest.raises(DataError, match=rf"names .*{function}.* nothing of it was run"):
        read_pickled_dict(path)
    assert not target.exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([1, 2], "holds a list; a python batch is a dictionary"),
        ({"data": np.zeros(3)}, "an array of type f8"),
        ({"data": np.array([{}], dtype=object)}, "an array of type O8"),
    ],
)
def test_anything_else_is_refused(tmp_path, content, words):
    with pytest.raises(DataError, match=words):
        read_pickled_dict(write(tmp_path / "batch", content))


def test_damaged_and_missing_files_are_named(tmp_path):
    whole = write(tmp_path / "batch", {"data": np.zeros((2, 3), np.uint8)}).read_bytes()
    for length in range(0, len(whole) - 1, 7):
        (tmp_path / "batch").write_bytes(whole[:length])
        with pytest.raises(DataError, match="batch is damaged or no python batch"):
            read_pickled_dict(tmp_path / "batch")
    with pytest.raises(DataError, match="No such file"):
        read_pickled_dict(tmp_path / "none")


def deep_key(depth):
    return b"\x80\x02}" + b")" + b"\x85" * depth + b"K\x01s."


HOSTILE = {
    # A tuple in a tuple in a tuple: to hash it, Python's own machine overflows the stack.
    "a key that is a tuple": deep_key(50_000),
    # What is kept under the number 2^31 - 1 takes 8.6 GB of a table.
    "a value that was not kept": b"\x80\x02}r\xff\xff\xff\x7fj\x00\x00\x00\x00.",
    "a number of more than 64 bits": b"\x80\x02}U\x01aI" + b"9" * 30 + b"\ns.",
    "it takes more than 55,000 steps": b"\x80\x02" + b"N" * 55_002 + b".",
    "it makes more than it holds": (
        b"\x80\x02X\x10'\x00\x00"
        + b"a" * 10000
        + b"q\x01"
        + b"c_codecs\nencode\nh\x01\x85R" * 50
        + b"."
    ),
    "a dictionary of more than 1,000 keys": (
        b"\x80\x02}(" + b"".join(b"U\x04%04dK\x01" % k for k in range(1001)) + b"u."
    ),
    "it takes the step PERSID": b"Ptext\n.",
    "it takes the step INST": b"(ios\nsystem\n.",
    "values for a list that is none": b"}K\x01a.",
    "a step without its values": b"K\x01\x86.",
    "an array of sizes": (
        b"\x80\x02}U\x01acnumpy.core.multiarray\n_reconstruct\n)R(K\x01J\xff\xff\xff\x7f\x85cnumpy\n"
        b"dtype\nU\x02u1\x85R\x89U\x01xtbs."
    ),
}


@pytest.mark.parametrize("words", HOSTILE)
def test_programs_that_would_crash_or_fill_the_memory(tmp_path, monkeypatch, words):
    monkeypatch.setattr("hybridonn.data.readers.pickles.MOST_STEPS", 55_000)
    path = tmp_path / "batch"
    path.write_bytes(HOSTILE[words])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(DataError, match=words):
        read_pickled_dict(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB


def test_what_is_long_but_harmless(tmp_path):
    program = b"\x80\x02}U\x01a" + b"]" * 20_000 + b"a" * 19_999 + b"s."
    path = tmp_path / "batch"
    path.write_bytes(program)
    assert isinstance(read_pickled_dict(path)["a"], list)


def test_a_file_larger_than_the_memory_is_not_read(tmp_path):
    path = tmp_path / "batch"
    with path.open("wb") as file:
        file.truncate(1 << 43)
    with pytest.raises(
        DataError, match=r"to read .*batch takes 35.2 TB of memory, and .* are left"
    ):
        read_pickled_dict(path)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_no_bytes_do_harm(tmp_path, data):
    whole = pickle.dumps({"data": np.zeros((2, 3), np.uint8), "labels": [1, 2], b"x": b"y"}, 2)
    content = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 5))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place : place + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=3))
    path = tmp_path / "batch"
    path.write_bytes(content)
    try:
        assert isinstance(read_pickled_dict(path), dict)
    except DataError as error:
        assert "batch" in str(error)
