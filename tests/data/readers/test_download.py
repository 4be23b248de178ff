import gzip
import hashlib
import http.server
import logging
import threading
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from hybridonn.core.errors import DataError
from hybridonn.core.progress import Silent
from hybridonn.data.load import load_dataset
from hybridonn.data.readers.download import data_root, fetch
from hybridonn.data.readers.sources import MNIST, RemoteFile, Source
from hybridonn.spec import Data


class Recorder(Silent):
    def __init__(self):
        self.bars: dict[str, list[float]] = {}

    @contextmanager
    def bar(self, label, total, done=0):
        steps = self.bars.setdefault(label, [total])
        yield lambda count=1, note="": steps.append(count)


class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


class LyingHandler(Handler):
    """States the whole length and hangs up half way."""

    def copyfile(self, source, outputfile):
        outputfile.write(source.read()[:20])


@contextmanager
def serve(folder: Path, handler=Handler):
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(handler, directory=str(folder))
    )
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def mirror(tmp_path, idx) -> tuple[Path, Source]:
    """A folder to be served, with the source that describes it."""
    folder = tmp_path / "mirror"
    for part, count in (("train", 30), ("t10k", 12)):
        images, labels = f"{part}-images-idx3-ubyte.gz", f"{part}-labels-idx1-ubyte.gz"
        idx.write_set(folder, images, labels, count=count, size=(28, 28))
    names = [file.name for file in MNIST.files]
    files = []
    for content, name in (((folder / name).read_bytes(), name) for name in names):
        plain = hashlib.md5(gzip.decompress(content)).hexdigest()
        files.append(RemoteFile(name, len(content), hashlib.md5(content).hexdigest(), plain))
    return folder, Source("mnist", (), tuple(files))


def listing(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*"))


def test_missing_files_are_downloaded_once_and_verified(tmp_path, mirror, caplog, capfd):
    folder, source = mirror
    root = tmp_path / "new" / "root"
    shown = Recorder()
    with serve(folder) as address, caplog.at_level(logging.DEBUG, "pooch"):
        online = replace(source, mirrors=(address,))
        paths = fetch(online, root, shown)
    assert paths == tuple(root / "mnist" / file.name for file in source.files)
    assert listing(root / "mnist") == sorted(file.name for file in source.files)
    for file in source.files:
        assert (root / "mnist" / file.name).read_bytes() == (folder / file.name).read_bytes()
        total, *steps = shown.bars[f"download {file.name}"]
        assert total == file.size == sum(steps)
    # The server is gone: what was found needs no network, and shows no bar.
    again = Recorder()
    assert fetch(online, root, again) == paths
    assert again.bars == {}
    assert not [record for record in caplog.records if record.name == "pooch"]
    assert capfd.readouterr() == ("", "")


def test_only_what_is_missing_is_downloaded(tmp_path, mirror):
    folder, source = mirror
    fourth = source.files[3].name
    with serve(folder) as address:
        online = replace(source, mirrors=(address,))
        fetch(online, tmp_path, Silent())
        (tmp_path / "mnist" / fourth).unlink()
        shown = Recorder()
        fetch(online, tmp_path, shown)
    assert list(shown.bars) == [f"download {fourth}"]


def test_a_gone_mirror_gives_way_to_the_next(tmp_path, mirror):
    folder, source = mirror
    empty = tmp_path / "empty"
    empty.mkdir()
    with serve(folder) as address, serve(empty) as without:
        mirrors = ("http://127.0.0.1:9/", without, address)
        assert len(fetch(replace(source, mirrors=mirrors), tmp_path, Silent())) == 4


def test_a_server_that_is_gone(tmp_path, mirror):
    folder, source = mirror
    with serve(folder) as address:
        pass
    with pytest.raises(DataError) as caught:
        fetch(replace(source, mirrors=(address,)), tmp_path, Silent())
    message = str(caught.value)
    assert f"no connection to {address}" in message
    assert str(tmp_path / "mnist") in message
    assert "--data-root" in message
    assert "HYBRIDONN_DATA" in message
    assert all(file.name in message for file in source.files)
    assert "\n" not in message
    assert listing(tmp_path / "mnist") == []


def test_a_file_that_the_mirror_does_not_have(tmp_path, mirror):
    folder, source = mirror
    (folder / source.files[1].name).unlink()
    with (
        serve(folder) as address,
        pytest.raises(DataError, match=f"404 .*{source.files[1].name}"),
    ):
        fetch(replace(source, mirrors=(address,)), tmp_path, Silent())


def test_a_download_with_the_wrong_checksum_is_not_kept(tmp_path, mirror):
    folder, source = mirror
    first = source.files[0]
    content = bytearray((folder / first.name).read_bytes())
    content[100] ^= 1
    (folder / first.name).write_bytes(content)
    found = hashlib.md5(content).hexdigest()
    with (
        serve(folder) as address,
        pytest.raises(DataError, match=f"MD5 {found}, expected {first.md5}"),
    ):
        fetch(replace(source, mirrors=(address,)), tmp_path, Silent())
    assert listing(tmp_path / "mnist") == []


def test_a_download_that_breaks_off_is_not_kept(tmp_path, mirror):
    folder, source = mirror
    with (
        serve(folder, LyingHandler) as address,
        pytest.raises(DataError, match=r"no connection|expected"),
    ):
        fetch(replace(source, mirrors=(address,)), tmp_path, Silent())
    assert listing(tmp_path / "mnist") == []


def test_a_found_file_with_the_wrong_checksum(tmp_path, mirror):
    folder, source = mirror
    broken = folder / source.files[2].name
    broken.write_bytes(b"half a file")
    folder.rename(tmp_path / "mnist")
    with pytest.raises(DataError) as caught:
        fetch(source, tmp_path, Silent())
    message = str(caught.value)
    assert str(tmp_path / "mnist" / broken.name) in message
    assert hashlib.md5(b"half a file").hexdigest() in message
    assert source.files[2].md5 in message
    assert "delete it and run again" in message


def test_copies_that_are_no_longer_gzipped(tmp_path, mirror):
    folder, source = mirror
    folder.rename(tmp_path / "mnist")
    for file in source.files:
        zipped = tmp_path / "mnist" / file.name
        zipped.with_suffix("").write_bytes(gzip.decompress(zipped.read_bytes()))
        zipped.unlink()
    paths = fetch(source, tmp_path, Silent())
    assert [path.suffix for path in paths] == ["", "", "", ""]
    paths[1].write_bytes(paths[1].read_bytes()[:-1] + b"\7")
    with pytest.raises(DataError, match=f"expected {source.files[1].content_md5}"):
        fetch(source, tmp_path, Silent())


def test_a_root_that_cannot_be_written(tmp_path, mirror):
    folder, source = mirror
    (tmp_path / "file").write_text("not a folder")
    with (
        serve(folder) as address,
        pytest.raises(DataError, match=r"cannot write to .*Not a directory.*--data-root"),
    ):
        fetch(replace(source, mirrors=(address,)), tmp_path / "file", Silent())


def test_a_full_disk(tmp_path, mirror):
    resource = pytest.importorskip("resource")
    signal = pytest.importorskip("signal")
    folder, source = mirror
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handled = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with serve(folder) as address:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
        try:
            with pytest.raises(DataError, match=r"cannot write to .*too large"):
                fetch(replace(source, mirrors=(address,)), tmp_path, Silent())
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            signal.signal(signal.SIGXFSZ, handled)
    assert listing(tmp_path / "mnist") == []


def test_where_the_root_is(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("HYBRIDONN_DATA", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert data_root() == tmp_path / ".cache" / "hybridonn" / "data"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert data_root() == tmp_path / "cache" / "hybridonn" / "data"
    monkeypatch.setenv("HYBRIDONN_DATA", "~/sets")
    assert data_root() == tmp_path / "sets"
    assert data_root(tmp_path / "given") == tmp_path / "given"


def test_a_named_set_is_loaded_through_its_source(tmp_path, mirror):
    folder, source = mirror
    with serve(folder) as address:
        sources = {"mnist": replace(source, mirrors=(address,))}
        dataset = load_dataset(Data(name="mnist"), tmp_path, sources=sources)
    assert dataset.name == "mnist"
    assert dataset.image_shape == (1, 28, 28)
    assert len(dataset.test) == 12
    assert np.isin(dataset.test.labels.numpy(), [0, 1, 2]).all()
