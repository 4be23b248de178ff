"""The command ``make fuzz``: many harmed inputs for every reader, a table, status 1 on a fault.

``python -m fuzzing`` goes on where it was interrupted. One input is looked at again by
``python -m fuzzing READER --number N``: it is written to a folder, read, and what comes is shown.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

from fuzzing.children import Fault, Limits, Tally, bounded_memory, read_all, read_one
from fuzzing.ledger import Ledger, hash_code, write_tables
from fuzzing.reader import Inputs, Reader
from fuzzing.readers import list_readers, warm_up

CHUNK = 250  # inputs that one child reads, one after the other
ROOT = Path(__file__).resolve().parents[3]


def main() -> int:
    """Parse the command line and fuzz."""
    parser = argparse.ArgumentParser(prog="fuzzing", description=__doc__)
    parser.add_argument("readers", nargs="*", metavar="READER", help="by default all")
    parser.add_argument("--inputs", type=int, default=20_000, help="of each reader")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "fuzz")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--number", type=int, help="look at one input of one reader")
    stated = parser.parse_args()
    chosen = _choose(stated.readers, stated.out)
    if stated.number is not None:
        return look(chosen[0], stated.number, stated.out)
    return fuzz(chosen, stated.inputs, stated.out, max(1, stated.workers or 1))


def fuzz(readers: list[Reader], count: int, out: Path, workers: int) -> int:
    """Read ``count`` inputs of each reader; returns 1 if there was a fault."""
    began, limits = time.perf_counter(), Limits()
    settings = {"code": hash_code(ROOT / "src", Path(__file__).parent), "limits": repr(limits)}
    ledger = Ledger(out, settings)
    scratch = Path(tempfile.mkdtemp(prefix="fuzz-", dir=_fast_folder()))
    try:
        for reader in readers:
            inputs = Inputs(reader)
            warm_up(inputs, scratch)
            chunks = [range(at, min(at + CHUNK, count)) for at in range(0, count, CHUNK)]
            waiting = [chunk for chunk in chunks if not ledger.has(reader.name, chunk)]
            started = time.perf_counter()
            _share_out(inputs, waiting, limits, scratch, workers, ledger)
            seconds, left = time.perf_counter() - started, sum(map(len, waiting))
            _, tally = ledger.of(reader.name)
            rate = f"{left / seconds:.0f} inputs/s" if left else "done before"
            print(f"{reader.name:20} {rate:>16} {len(tally.faults):6} faults", flush=True)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    rows = write_tables(out, ledger, [reader.name for reader in readers])
    _show(rows, ledger, out, time.perf_counter() - began)
    return int(any(row[kind] for row in rows for kind in ("traceback", "time", "memory", "crash")))


def _share_out(
    inputs: Inputs,
    waiting: list[range],
    limits: Limits,
    scratch: Path,
    workers: int,
    ledger: Ledger,
) -> None:
    """Let worker processes take every so many-th chunk; this process keeps the ledger."""
    from multiprocessing import get_context

    # Forked: the seeds and everything imported are there at once.
    context = get_context("fork")
    results = context.SimpleQueue()

    def work(own: list[range]) -> None:
        for chunk in own:
            try:
                results.put((chunk, read_all(inputs, chunk, limits, scratch)))
            except Exception as error:
                results.put((chunk, error))

    shares = [waiting[number::workers] for number in range(workers)]
    running = [context.Process(target=work, args=(own,)) for own in shares if own]
    for process in running:
        process.start()
    for _ in waiting:
        chunk, tally = results.get()
        if isinstance(tally, Exception):
            for process in running:
                process.terminate()
            raise tally
        ledger.add(inputs.reader.name, chunk, tally)
    for process in running:
        process.join()


def look(reader: Reader, number: int, out: Path) -> int:
    """Write one input to a folder, read it and show what comes."""
    inputs, place = Inputs(reader), out / f"{reader.name}-{number}"
    warm_up(inputs, out)
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    inputs.write(number, place)
    print(place)

    def read(folder: Path) -> None:
        try:
            print(reader.read(folder))
        except BaseException:
            traceback.print_exc()
            raise

    limits = Limits()
    with bounded_memory(limits.memory_bytes):
        kind, detail, seconds = read_one(read, place, limits)
    print(f"{kind} in {seconds:.2f} s: {detail}")
    return int(kind not in ("read", "refused"))


def _choose(names: list[str], out: Path) -> list[Reader]:
    known = {reader.name: reader for reader in list_readers(out)}
    if unknown := [name for name in names if name not in known]:
        sys.exit(f"unknown readers {', '.join(unknown)}; known are {', '.join(known)}")
    return [known[name] for name in names or known]


def _show(rows: list[dict], ledger: Ledger, out: Path, seconds: float) -> None:
    for row in rows:
        print("  ".join(f"{value:>{max(len(key), 14)}}" for key, value in row.items()))
    for row in rows:
        for number, fault in _group(ledger.of(row["reader"])[1]):
            found = f"{fault.kind}, first number {fault.number}: {fault.detail[:160]}"
            print(f"{row['reader']}: {number} x {found}")
    total = sum(row["inputs"] for row in rows)
    print(f"{total:,} inputs of {len(rows)} readers in {seconds:.0f} s; tables in {out}")


def _group(tally: Tally) -> list[tuple[int, Fault]]:
    """How often each fault came, the most frequent first, with the first input that shows it."""
    firsts: dict[tuple[str, str], Fault] = {}
    keys = [(fault.kind, re.sub(r"\S*/|\d+", "", fault.detail)[:40]) for fault in tally.faults]
    for key, fault in zip(keys, tally.faults, strict=True):
        firsts.setdefault(key, fault)
    return [(number, firsts[key]) for key, number in Counter(keys).most_common()]


def _fast_folder() -> str | None:
    memory = Path("/dev/shm")
    return str(memory) if os.access(memory, os.W_OK) else None


if __name__ == "__main__":
    sys.exit(main())
