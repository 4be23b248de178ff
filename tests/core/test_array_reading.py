"""Files of arrays that are not what they say: a sentence each, before memory is taken."""

import io
import tracemalloc
import zipfile

import numpy as np
import pytest

from hybridonn.core import array_reading
from hybridonn.core.array_reading import (
    ArrayFileError,
    read_archive,
    read_array,
    read_headers,
)

GREY = np.arange(12, dtype=np.uint16).reshape(3, 4)


def forge(descr="'<f8'", shape="(3,)", content=b"", version=1, fortran="False"):
    """An npy file with any header."""
    text = f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}".encode()
    size = len(text).to_bytes(2 if version == 1 else 4, "little")
    return b"\x93NUMPY" + bytes([version, 0]) + size + text + content


def pack(path, compression=zipfile.ZIP_DEFLATED, **members):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "."), content)
    return path


@pytest.mark.parametrize(
    "array",
    [GREY, GREY.T, GREY.astype(">f4"), np.array(["test-00001"]), np.float64(3), GREY[:0], GREY > 3],
)
def test_what_numpy_writes_is_read(tmp_path, array):
    np.save(tmp_path / "a.npy", array)
    np.savez(tmp_path / "a.npz", one=array, other=GREY)
    np.savez_compressed(tmp_path / "b.npz", one=array)
    for read in (
        read_array(tmp_path / "a.npy"),
        read_archive(tmp_path / "a.npz", ["one", "absent"])["one"],
        read_archive(tmp_path / "b.npz")["one"],
    ):
        np.testing.assert_array_equal(read, array)
        assert read.dtype == np.asarray(array).dtype
    assert read_headers(tmp_path / "a.npz")["other"].shape == (3, 4)


TERABYTE = "(1000000, 125000)"


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "is no array"),
        (b"no", "is no array"),
        (forge(content=bytes(23)), "claims an array of 24 bytes and holds 23 bytes"),
        (forge(content=bytes(25)), "holds 25 bytes"),
        (forge(shape=TERABYTE), "claims an array of 1 TB and holds 0 bytes"),
        (forge(shape=f"({'9' * 400},)"), "claims an array of more than a petabyte"),
        (forge(shape="(-1,)", content=bytes(8)), "impossible shape"),
        (forge(shape=f"({'1, ' * 40})", content=bytes(8)), "impossible shape"),
        (forge("'<U0'", TERABYTE), "header is damaged"),
        (forge("'|O'"), "Python objects"),
        (forge("[('a', '<f8')]"), "or of records"),
        (forge("__import__('os').abort()"), "header is damaged"),
        (forge("(" * 2000), "header is damaged"),
        (forge("-" * 9000 + "1"), "header is damaged"),
        (forge(shape="3"), "header is damaged"),
        (forge(version=3), "unknown version"),
        (forge(descr=repr("<f8" + " " * 20000), version=2), "header is damaged"),
    ],
)
def test_forged_arrays_are_refused_in_a_sentence(tmp_path, content, found):
    (tmp_path / "a.npy").write_bytes(content)
    for compression in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        pack(tmp_path / "a.npz", compression, a__npy=content)
        tracemalloc.start()
        for read, name in ((read_array, "a.npy"), (read_archive, "a.npz")):
            with pytest.raises(ArrayFileError, match=found) as caught:
                read(tmp_path / name)
            assert str(caught.value).startswith(str(tmp_path / name))
            assert "\n" not in str(caught.value)
        assert tracemalloc.get_traced_memory()[1] < 2e6
        tracemalloc.stop()


def test_archives_and_arrays_are_not_mixed_up(tmp_path):
    np.save(tmp_path / "a.npy", GREY)
    (tmp_path / "a.npy").rename(tmp_path / "a.npz")
    with pytest.raises(ArrayFileError, match=r"a single array; name it so, with the suffix .npy"):
        read_archive(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", a=GREY)
    (tmp_path / "b.npz").rename(tmp_path / "b.npy")
    with pytest.raises(ArrayFileError, match=r"an npz archive; name it so, with the suffix .npz"):
        read_array(tmp_path / "b.npy")


def save(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def test_members_that_are_no_arrays_are_named(tmp_path):
    pack(tmp_path / "a.npz", one__npy=save(GREY), notes__txt=b"hello")
    with pytest.raises(ArrayFileError, match=r"holds 'notes.txt', which is no array"):
        read_headers(tmp_path / "a.npz")


def test_an_array_that_stands_twice_is_named(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive, pytest.warns(UserWarning):
        archive.writestr("one.npy", save(GREY))
        archive.writestr("one.npy", save(GREY))
    with pytest.raises(ArrayFileError, match=r"'one\.npy' 2 times"):
        read_archive(tmp_path / "a.npz")


def test_other_compressions_are_refused(tmp_path):
    pack(tmp_path / "a.npz", zipfile.ZIP_LZMA, one__npy=save(GREY))
    with pytest.raises(ArrayFileError, match="compression that numpy does not write"):
        read_archive(tmp_path / "a.npz")


@pytest.mark.parametrize("place", [-30, 60, 140])
def test_damage_is_a_sentence(tmp_path, place):
    np.savez(tmp_path / "a.npz", one=np.arange(100))
    content = bytearray((tmp_path / "a.npz").read_bytes())
    content[place] ^= 0xFF
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(ArrayFileError) as caught:
        read_archive(tmp_path / "a.npz")
    assert "\n" not in str(caught.value)
    (tmp_path / "a.npz").write_bytes(content[: len(content) // 2])
    with pytest.raises(ArrayFileError, match="damaged"):
        read_archive(tmp_path / "a.npz")


def test_what_the_memory_does_not_hold_is_refused_unread(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "a.npz", one=np.zeros(10**6), other=GREY)
    np.save(tmp_path / "a.npy", np.zeros(10**6))
    monkeypatch.setattr(array_reading, "free_bytes", lambda: 10**6)
    with pytest.raises(ArrayFileError, match="would take 8 MB of memory, and 1 MB are left"):
        read_archive(tmp_path / "a.npz")
    with pytest.raises(ArrayFileError, match="would take 8 MB of memory"):
        read_array(tmp_path / "a.npy")
    assert read_archive(tmp_path / "a.npz", ["other"])["other"].shape == (3, 4)


def test_a_folder_and_nothing_are_said(tmp_path):
    with pytest.raises(ArrayFileError, match="is missing"):
        read_array(tmp_path / "a.npy")
    with pytest.raises(ArrayFileError, match="cannot be read: Is a directory"):
        read_archive(tmp_path)
