"""All readers that are fuzzed."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from fuzzing import readers_captures, readers_data, readers_optics, readers_runs
from fuzzing.reader import Inputs, Reader


def list_readers(home: Path) -> list[Reader]:
    """The readers, in the order of the table.

    Args:
        home: Where a small finished run is kept, whose files are inputs too.
    """
    return [
        *readers_data.READERS,
        *readers_captures.READERS,
        *readers_optics.READERS,
        *readers_runs.list_readers(home),
    ]


def warm_up(inputs: Inputs, scratch: Path) -> None:
    """Read every seed as it is: it must be readable, and all that is imported late is there.

    Raises:
        ValueError: A seed is refused, so that what is made of it would prove nothing.
    """
    for number, files in enumerate(inputs.seeds):
        place = Path(tempfile.mkdtemp(prefix="seed-", dir=scratch))
        try:
            for name, content in files.items():
                path = place / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            inputs.reader.read(place)
        except Exception as error:
            raise ValueError(
                f"seed {number} of {inputs.reader.name} is refused: {error}"
            ) from error
        finally:
            shutil.rmtree(place)
