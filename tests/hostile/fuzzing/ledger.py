"""What was fuzzed so far, chunk by chunk, so that an interrupted command goes on."""

from __future__ import annotations

import csv
import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fuzzing.children import Fault, Tally

FAULTS = ("traceback", "time", "memory", "crash")


class Ledger:
    """The chunks that are done, a line each; those of other code or limits count for nothing.

    Args:
        folder: Where it lies.
        settings: All that the counts depend on beside reader and numbers.
    """

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        self._path = folder / "chunks.jsonl"
        self._done: dict[tuple[str, int, int], Tally] = {}
        head = json.dumps({"settings": settings})
        lines = self._path.read_text("utf-8").splitlines() if self._path.exists() else []
        if lines and lines[0] == head:
            for line in lines[1:]:
                self._take(json.loads(line))
        else:
            folder.mkdir(parents=True, exist_ok=True)
            self._path.write_text(head + "\n", "utf-8")

    def has(self, reader: str, numbers: range) -> bool:
        """Whether a chunk is done."""
        return (reader, numbers.start, numbers.stop) in self._done

    def add(self, reader: str, numbers: range, tally: Tally) -> None:
        """Keep a chunk."""
        entry = {"reader": reader, "start": numbers.start, "stop": numbers.stop, **asdict(tally)}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
        self._take(entry)

    def of(self, reader: str) -> tuple[int, Tally]:
        """The number of a reader's inputs so far, and what became of them."""
        total, count = Tally(), 0
        for (name, start, stop), tally in sorted(self._done.items()):
            if name != reader:
                continue
            count += stop - start
            total.refused += tally.refused
            total.read += tally.read
            total.faults += tally.faults
            if tally.slowest_seconds > total.slowest_seconds:
                total.slowest_number = tally.slowest_number
                total.slowest_seconds = tally.slowest_seconds
        return count, total

    def _take(self, entry: dict[str, Any]) -> None:
        key = entry["reader"], entry["start"], entry["stop"]
        kept = {name: entry[name] for name in ("refused", "read")}
        slowest = {name: entry[name] for name in ("slowest_number", "slowest_seconds")}
        faults = [Fault(**fault) for fault in entry["faults"]]
        self._done[key] = Tally(**kept, **slowest, faults=faults)


def write_tables(folder: Path, ledger: Ledger, readers: list[str]) -> list[dict[str, Any]]:
    """Write ``table.csv`` (a row a reader) and ``faults.csv``; returns the rows of the table."""
    rows, faults = [], []
    for reader in readers:
        count, tally = ledger.of(reader)
        kinds = [fault.kind for fault in tally.faults]
        rows.append(
            {
                "reader": reader,
                "inputs": count,
                "refused": tally.refused,
                "read": tally.read,
                **{kind: kinds.count(kind) for kind in FAULTS},
                "slowest_seconds": round(tally.slowest_seconds, 2),
                "slowest_number": tally.slowest_number,
            }
        )
        faults += [{"reader": reader, **asdict(fault)} for fault in tally.faults]
    _write(folder / "table.csv", rows, list(rows[0]))
    _write(folder / "faults.csv", faults, ["reader", "number", "kind", "detail"])
    return rows


def hash_code(*folders: Path) -> str:
    """What tells one state of the source from another."""
    digest = hashlib.sha256()
    for folder in folders:
        for path in sorted(folder.rglob("*.py")):
            digest.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def _write(path: Path, rows: list[dict[str, Any]], columns: list[str]) -> None:
    with path.open("w", newline="", encoding="utf-8", errors="replace") as file:
        table = csv.DictWriter(file, columns, lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
