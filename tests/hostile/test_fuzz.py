"""The short version of ``make fuzz``: a hundred harmed inputs a reader; and that it would see."""

import os
import time
from pathlib import Path

import pytest
from fuzzing.__main__ import main
from fuzzing.children import Limits, read_all
from fuzzing.ledger import Ledger
from fuzzing.reader import Inputs, Reader
from fuzzing.readers import list_readers, warm_up

from hybridonn.core.errors import DataError

INPUTS, FEW = 100, 25
SLOW = {"layout files"}  # each of its inputs is read in a process of its own
TOO_LONG = {"chip runs"}  # whose seeds take ten seconds to make


@pytest.fixture(scope="session")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("HYBRIDONN_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize(
    "name", [each.name for each in list_readers(Path()) if each.name not in TOO_LONG]
)
def test_a_harmed_input_is_read_or_refused_in_a_sentence(name, home, tmp_path):
    (reader,) = (each for each in list_readers(home) if each.name == name)
    inputs = Inputs(reader)
    warm_up(inputs, tmp_path)
    count = FEW if name in SLOW else INPUTS
    tally = read_all(inputs, range(count), Limits(), tmp_path)
    assert not tally.faults, f"python -m fuzzing '{name}' --number {tally.faults[0].number}"
    assert tally.read + tally.refused == count


def crash(folder):
    os.abort()


def hang(folder):
    while True:
        pass


def sleep(folder):
    time.sleep(60)


def take_memory(folder):
    return bytearray(2 * 10**9)


def take_memory_and_say_so(folder):
    try:
        take_memory(folder)
    except Exception:
        raise DataError("the file is damaged") from None


def fail(folder):
    return {}["x"]


def leave(folder):
    raise SystemExit(0)


@pytest.mark.parametrize(
    ("read", "kind"),
    [
        (crash, "crash"),
        (hang, "time"),
        (sleep, "time"),
        (take_memory, "memory"),
        (take_memory_and_say_so, "memory"),
        (fail, "traceback"),
        (leave, "traceback"),
        (lambda folder: None, None),
    ],
)
def test_every_kind_of_fault_is_seen_and_the_next_input_is_read(read, kind, tmp_path):
    def read_second(folder):
        return read(folder) if (folder / "file").read_bytes() == b"2" else None

    class Numbered(Inputs):
        def write(self, number, folder):
            (folder / "file").write_bytes(str(number).encode())

    inputs = Numbered(Reader("made up", lambda: [{"file": b""}], read_second))
    tally = read_all(inputs, range(5), Limits(seconds=0.1, memory_bytes=10**9), tmp_path)
    assert [(fault.number, fault.kind) for fault in tally.faults] == [(2, kind)] * bool(kind)
    assert tally.read == 5 - bool(kind)


def test_an_input_is_made_from_its_number_alone(tmp_path):
    reader = list_readers(tmp_path)[0]
    for number in (0, 7, 99):
        for place in ("a", "b"):
            (tmp_path / place / str(number)).mkdir(parents=True)
            Inputs(reader).write(number, tmp_path / place / str(number))
    contents = [
        {
            path.relative_to(tmp_path / place): path.read_bytes()
            for path in files_in(tmp_path / place)
        }
        for place in ("a", "b")
    ]
    assert contents[0] == contents[1]


def files_in(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def test_the_command_goes_on_where_it_was_and_shows_one_input(tmp_path, monkeypatch, capsys):
    words = ["fuzzing", "idx", "--inputs", "300", "--out", str(tmp_path), "--workers", "1"]
    monkeypatch.setattr("sys.argv", words)
    assert main() == 0
    assert "done before" not in capsys.readouterr().out
    assert main() == 0
    assert "done before" in capsys.readouterr().out
    header, row = (tmp_path / "table.csv").read_text().splitlines()
    assert header.startswith("reader,inputs,refused,read,traceback,time,memory,crash")
    assert row.startswith("idx,300,")
    monkeypatch.setattr("sys.argv", ["fuzzing", "idx", "--number", "3", "--out", str(tmp_path)])
    assert main() == 0
    assert files_in(tmp_path / "idx-3")
    other = Ledger(tmp_path, {"code": "changed since"})
    assert other.of("idx")[0] == 0  # counts of other code count for nothing
