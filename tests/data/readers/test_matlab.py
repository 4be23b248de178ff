import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.io import savemat

from hybridonn.core.errors import DataError
from hybridonn.data.readers.matlab import read_label_map

LABELS = np.random.default_rng(0).integers(0, 120, (5, 7))


def saved(compressed=True, **variables) -> bytes:
    buffer = io.BytesIO()
    savemat(buffer, variables, do_compression=compressed)
    return buffer.getvalue()


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "f4", "f8", "i8"])
@pytest.mark.parametrize("shape", [(5, 7), (1, 1), (1, 3)])
def test_what_another_program_saves_is_read(tmp_path, compressed, dtype, shape):
    labels = LABELS[: shape[0], : shape[1]].astype(dtype)
    names = np.array(["person", "sky"], object)
    content = saved(compressed, names=names, S=labels, captions={"a": [1, 2]}, big=np.zeros(9000))
    path = tmp_path / "x.mat"
    path.write_bytes(content)
    np.testing.assert_array_equal(read_label_map(path, "S"), labels)


def variable(name: bytes, shape, values: bytes, kind=2, flags=9, order="<") -> bytes:
    """A matrix of unsigned bytes as the format describes it, every element in its long form."""

    def element(kind, content):
        return struct.pack(f"{order}II", kind, len(content)) + content + bytes(-len(content) % 8)

    sizes = struct.pack(f"{order}{len(shape)}i", *shape)
    inside = element(6, struct.pack(f"{order}II", flags, 0)) + element(5, sizes)
    inside += element(1, name) + element(kind, values)
    return struct.pack(f"{order}II", 14, len(inside)) + inside


def mat(body: bytes, order="<") -> bytes:
    return (
        b"MATLAB".ljust(124)
        + struct.pack(f"{order}H", 0x0100)
        + (b"IM" if order == "<" else b"MI")
        + body
    )


def packed(body: bytes) -> bytes:
    content = zlib.compress(body)
    return struct.pack("<II", 15, len(content)) + content


def test_both_byte_orders(tmp_path):
    for order in "<>":
        path = tmp_path / "x.mat"
        path.write_bytes(mat(variable(b"S", (2, 3), bytes(range(6)), order=order), order))
        assert read_label_map(path, "S").tolist() == [[0, 2, 4], [1, 3, 5]]


# Its last byte is of the checksum.
WRONG_CHECKSUM = zlib.compress(variable(b"S", (2, 3), bytes(6)))[:-1] + b"?"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not a MATLAB file of level 5"),
        (b"\x89HDF\r\n\x1a\n" + bytes(200), "not a MATLAB file of level 5"),
        (mat(b""), "holds no label map S of two dimensions"),
        (mat(variable(b"T", (2, 3), bytes(6))), "holds no label map S of two dimensions"),
        (mat(variable(b"S", (2, 3, 1), bytes(6))), r"of class 9 and sizes \(2, 3, 1\)"),
        (mat(variable(b"S", (2, 3), bytes(6), flags=1)), "of class 1 and sizes"),
        (mat(variable(b"S", (2, 3), bytes(6), flags=9 | 0x0800)), "of class 9 and sizes"),
        (mat(variable(b"S", (2, 3), bytes(5))), "cannot reshape"),
        (mat(variable(b"S", (2, 3), bytes(6), kind=3)), "damaged"),
        (mat(variable(b"S", (2, 3), bytes(6), kind=99)), "unknown type 99"),
        (mat(variable(b"S", (2**30, 2**30), bytes(6))), "S in .*x.mat has 1,073,741,824 x"),
        (mat(variable(b"S", (-2, -3), bytes(6))), "an image has at least one"),
        (mat(variable(b"S", (1, 1), struct.pack("<d", 0.5), kind=9)), "no whole numbers in S"),
        (mat(struct.pack("<II", 14, 2**31) + bytes(100)), "a variable of 2,147,483,648 bytes"),
        (mat(packed(variable(b"S", (2, 3), bytes(6))[:40])), "damaged"),
        (mat(struct.pack("<II", 15, 8) + b"no zlib!"), "damaged"),
        (mat(struct.pack("<II", 15, len(WRONG_CHECKSUM)) + WRONG_CHECKSUM), "damaged"),
        # 100 MB of zeros after the six that the matrix is of: never unpacked.
        (mat(packed(variable(b"S", (2, 3), bytes(10**8)))), "longer than its sizes"),
    ],
)
def test_damage_is_named(tmp_path, content, words):
    path = tmp_path / "x.mat"
    path.write_bytes(content)
    with pytest.raises(DataError, match=words) as caught:
        read_label_map(path, "S")
    assert str(path) in str(caught.value)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_no_bytes_do_harm(tmp_path, data):
    content = bytearray(saved(data.draw(st.booleans()), names=["x"], S=LABELS.astype(np.uint8)))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(116, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "x.mat"
    path.write_bytes(content[: data.draw(st.integers(1, len(content)))])
    try:
        assert read_label_map(path, "S").ndim == 2
    except DataError as error:
        assert str(path) in str(error)
