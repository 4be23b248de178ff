"""Deployed runs that answer a camera, opened when they are asked for."""

from __future__ import annotations

import threading
from html import escape
from urllib.parse import urlencode

from hybridonn.core.errors import DeploymentError
from hybridonn.explorer.run_table import RunTable
from hybridonn.live.page import make_parts
from hybridonn.pipeline.predict import System, open_system

MOST_OPEN = 4


class Systems:
    """The deployed runs of a table; the last few stay open.

    Args:
        table: The rows.
    """

    def __init__(self, table: RunTable) -> None:
        self._table = table
        self._open: dict[tuple[str, int], System] = {}
        self._busy = threading.Lock()

    def list_names(self) -> list[str]:
        """Names of the rows that are deployed.

        Raises:
            ArtefactError: The folder of runs is gone.
        """
        return [row.name for row in self._table.list_rows() if row.deployed]

    def open(self, name: str) -> System:
        """The system of a row.

        Raises:
            ArtefactError: The row vanished, or its run was changed.
            DeploymentError: It is not deployed, or its optics are known by captures alone.
        """
        folder = self._table.folder(name)
        deployed = folder / "deployed"
        key = name, deployed.stat().st_mtime_ns if deployed.is_dir() else 0
        with self._busy:
            if key not in self._open:
                found = open_system(folder)
                if not found.predictor.takes_pictures:
                    raise DeploymentError(
                        f"the optics of {name} are known by their captures alone, so no camera of "
                        f"a browser can take their place; run `hybridonn live {name} --folder "
                        "CAPTURES`"
                    )
                while len(self._open) >= MOST_OPEN:
                    self._open.pop(next(iter(self._open)))
                self._open[key] = found
            return self._open[key]


def render_live(system: System, name: str) -> str:
    """The page of a system, which stands in a frame of the tab.

    Args:
        system: The deployed run.
        name: Name of its row.
    """
    parts = make_parts(system, None, f"/frame?{urlencode({'run': name})}&")
    title = f"live inference of {escape(name)}"
    return (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<style>{parts.style}</style></head><body><div class="live-root">{parts.body}</div>'
        f"<script>{parts.script}</script></body></html>"
    )
