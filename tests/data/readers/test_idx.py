import gzip
import hashlib
import os
import struct
from functools import partial

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hybridonn.core.errors import DataError
from hybridonn.data.readers.idx import read_idx, read_images, read_labels

# Without a time of packing: the names of the cases must be the same in every process.
zipped = partial(gzip.compress, mtime=0)

ARRAYS = st.sampled_from(["u1", "i1", "i2", "i4", "f4", "f8"]).flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=1, max_dims=4, min_side=0))
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(array=ARRAYS, zipped=st.booleans())
def test_what_is_written_is_read(tmp_path, idx, array, zipped):
    path = tmp_path / ("values.gz" if zipped else "values")
    idx.write(path, array)
    back = read_idx(path)
    assert back.dtype == array.dtype
    assert back.dtype.isnative
    np.testing.assert_array_equal(back, array)


def test_a_file_given_byte_by_byte(tmp_path):
    path = tmp_path / "shorts"
    path.write_bytes(bytes.fromhex("00000b02 00000001 00000003 0001 0100 ffff"))
    assert read_idx(path).tolist() == [[1, 256, -1]]


def test_gzip_is_told_by_content_not_by_name(tmp_path, idx):
    values = np.arange(5, dtype=np.uint8)
    (tmp_path / "plain.gz").write_bytes(idx.bytes(values))
    (tmp_path / "zipped").write_bytes(zipped(idx.bytes(values)))
    assert read_idx(tmp_path / "plain.gz").tolist() == values.tolist()
    assert read_idx(tmp_path / "zipped").tolist() == values.tolist()


def _images() -> bytes:
    values = np.random.default_rng(0).integers(0, 256, 3 * 40 * 50).astype(np.uint8)
    return struct.pack(">4B3I", 0, 0, 8, 3, 3, 40, 50) + values.tobytes()


GOOD = _images()
FLIPPED = bytearray(zipped(GOOD))
FLIPPED[len(FLIPPED) // 2] ^= 0x55
WRONG_CHECKSUM = bytearray(zipped(GOOD))
WRONG_CHECKSUM[-8] ^= 1  # of CRC32
HUGE = struct.pack(">4B3I", 0, 0, 8, 3, 2**32 - 1, 2**32 - 1, 2**32 - 1)
NOTHING_HUGE = struct.pack(">4B3I", 0, 0, 8, 3, 0, 2**32 - 1, 2**32 - 1)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "truncated: found 0 bytes"),
        (GOOD[:3], "truncated: found 3 bytes"),
        (GOOD[:9], "truncated within the sizes of its 3 dimensions"),
        (GOOD[:-1], "truncated: its header states 6000 bytes of values, found 5999"),
        (GOOD + b"x", "too long: more than the 6000 bytes"),
        (b"\x89PNG\r\n\x1a\n", "not an IDX file: it begins with 89 50 4e 47"),
        (b"\0\0\x0a\1" + GOOD[4:], "not an IDX file: it begins with 00 00 0a 01"),
        (b"\0\1\x08\3" + GOOD[4:], "not an IDX file"),
        (b"\0\0\x08\xff" + GOOD[4:], "not an IDX file"),
        (HUGE, "truncated: its header states"),
        (NOTHING_HUGE, "sizes that no array can have"),
        (zipped(GOOD[:-1]), "truncated: its header states"),
        (zipped(GOOD + b"x"), "too long"),
        (zipped(GOOD)[:-20], "not a whole gzip file"),
        (zipped(GOOD)[:5], "not a whole gzip file"),
        (zipped(GOOD) + b"tail", "not a whole gzip file"),
        (bytes(FLIPPED), "not a whole gzip file"),
        (bytes(WRONG_CHECKSUM), "not a whole gzip file"),
    ],
)
def test_damage_is_named(tmp_path, content, words):
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_idx(path)
    assert words in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_truncation_is_caught(tmp_path, idx):
    content = idx.bytes(np.arange(12, dtype=np.int16).reshape(3, 4))
    path = tmp_path / "file"
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(DataError, match="truncated"):
            read_idx(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"cannot read .*absent: No such file"):
        read_idx(tmp_path / "absent")
    with pytest.raises(DataError, match="cannot read"):
        read_idx(tmp_path)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read every file")
def test_a_file_without_permission_is_named(tmp_path, idx):
    path = idx.write(tmp_path / "file", np.arange(3, dtype=np.uint8))
    path.chmod(0)
    with pytest.raises(DataError, match="Permission denied"):
        read_idx(path)


def test_images_are_bytes_in_three_dimensions(tmp_path, idx):
    path = tmp_path / "file"
    for dtype, shape, words in [
        ("u1", (2, 12), "uint8 values in 2 dimensions"),
        ("f4", (2, 3, 4), "float32 values in 3 dimensions"),
        ("u1", (0, 3, 4), "no images"),
    ]:
        idx.write(path, np.zeros(shape, dtype))
        with pytest.raises(DataError, match=words):
            read_images(path)


def test_labels_are_integers_in_one_dimension(tmp_path, idx):
    path = tmp_path / "file"
    for dtype, shape, words in [("i4", (2, 8), "2 dimensions"), ("f8", (2,), "float64 values")]:
        idx.write(path, np.zeros(shape, dtype))
        with pytest.raises(DataError, match=words):
            read_labels(path)
    idx.write(path, np.array([-3, 70000], np.int32))
    labels = read_labels(path)
    assert labels.dtype == np.int64
    assert labels.tolist() == [-3, 70000]


def test_the_real_test_part_of_mnist(real_data_root):
    folder = real_data_root / "mnist"
    images = read_images(next(folder.glob("t10k-images-idx3-ubyte*")))
    labels = read_labels(next(folder.glob("t10k-labels-idx1-ubyte*")))
    assert images.shape == (10000, 28, 28)
    # The first ten labels, and the counts, as published with the set.
    assert labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert np.bincount(labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    header = struct.pack(">4B3I", 0, 0, 8, 3, 10000, 28, 28)
    digest = hashlib.md5(header + images.tobytes()).hexdigest()
    assert digest == "2646ac647ad5339dbf082846283269ea"


TERABYTE = struct.pack(">4B3I", 0, 0, 8, 3, 2**20, 1000, 1000)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (TERABYTE, "truncated: its header states 1048576000000 bytes of values, found 0"),
        (zipped(TERABYTE), r"truncated: .* found at most \d+, as it is gzipped"),
        (struct.pack(">4B3I", 0, 0, 8, 3, 1, 10**5, 10**5), "100,000 x 100,000 pixels"),
        (struct.pack(">4B1I", 0, 0, 8, 1, 2**32 - 1), "holds uint8 values in 1 dimensions"),
    ],
)
def test_nothing_is_read_that_is_not_promised_in_earnest(tmp_path, monkeypatch, content, words):
    monkeypatch.setattr("hybridonn.data.readers.idx._read_values", None)  # never reached
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(DataError, match=words):
        read_images(tmp_path / "file")


def test_what_the_memory_does_not_hold_is_not_unpacked(tmp_path, monkeypatch, idx):
    path = idx.write(tmp_path / "labels.gz", np.zeros(10**6, np.uint8))
    assert path.stat().st_size < 2000
    assert len(read_labels(path)) == 10**6
    monkeypatch.setattr("hybridonn.data.memory.free_bytes", lambda: 9 * 10**6)
    with pytest.raises(DataError, match=r"to read .*labels.gz takes 10 MB of memory, and 9 MB are"):
        read_labels(path)
