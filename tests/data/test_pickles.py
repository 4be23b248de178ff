import io
import pickle
import pickletools

import numpy as np
import pytest

from hybridonn.data.pickles import read_pickled_dict
from hybridonn.errors import DataError


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
