"""Two runs and a study, and the explorer served in a process of its own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.reports.conftest import make_run
from tests.served import find_port, serve_apart

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
SERVE = """
from pathlib import Path
from hybridonn.explorer.app import serve
serve(Path({folder!r}), {port})
"""


@pytest.fixture(scope="session")
def runs(tmp_path_factory) -> Path:
    """A folder with the runs ``good`` and ``better``, and a folder that is no run."""
    from hybridonn.core.files import write_text
    from hybridonn.pipeline.run_record import write_run_record

    root = tmp_path_factory.mktemp("runs")
    for name, wrong in (("good", 20), ("better", 4)):
        folder = make_run(root / name, wrong={"teacher": 4, "student": wrong})
        record = json.loads((folder / "record.json").read_text())
        record["data"]["image_shape"] = [1, 28, 28]
        write_run_record(folder, record)
        write_text(folder / "report.html", f"<h1>{name}</h1><script>document.title = 'x'</script>")
        write_text(folder / "figures" / "kernels.svg", "<svg xmlns='http://www.w3.org/2000/svg'/>")
    (root / "holiday").mkdir()
    return root


@pytest.fixture(scope="session")
def explorer(runs) -> Iterator[SimpleNamespace]:
    """The explorer in a process of its own: NiceGUI serves one application each."""
    pytest.importorskip("nicegui")
    port = find_port()
    code = SERVE.format(folder=str(runs), port=port)
    with serve_apart(code, port, seconds=120) as url:
        yield SimpleNamespace(port=port, url=url, runs=runs)


@pytest.fixture(scope="module")
def browser():
    """One headless Chromium for all tests of the page; the driver allows one at a time."""
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("needs chromium")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def open_tab(browser, explorer):
    """Opens the explorer as a browser of its own; what it asked for and complained of is kept."""
    contexts = []

    def open_(width=1200):
        contexts.append(browser.new_context(viewport={"width": width, "height": 800}))
        tab = contexts[-1].new_page()
        tab.asked, tab.said = [], []
        tab.on("request", lambda request: tab.asked.append(request.url))
        tab.on("pageerror", lambda error: tab.said.append(str(error)))
        tab.set_default_timeout(60_000)
        tab.goto(explorer.url)
        return tab

    yield open_
    for context in contexts:
        context.close()
