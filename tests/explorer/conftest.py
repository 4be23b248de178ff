"""Two runs and a study, and the explorer served in a process of its own."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import SimpleNamespace

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
SERVE = """
from pathlib import Path
from hybridonn.explorer.app import serve
serve(Path({folder!r}), {port})
"""


def load_helper(path):
    """The module of a file of another room's tests."""
    stated = spec_from_file_location("of_another_room", Path(__file__).parents[1] / path)
    assert stated is not None
    assert stated.loader is not None
    module = module_from_spec(stated)
    stated.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def runs(tmp_path_factory) -> Path:
    """A folder with the runs ``good`` and ``better``, and a folder that is no run."""
    from hybridonn.core.files import write_text
    from hybridonn.pipeline.run_record import write_run_record

    root = tmp_path_factory.mktemp("runs")
    make = load_helper("reports/conftest.py").make_run
    for name, wrong in (("good", 20), ("better", 4)):
        folder = make(root / name, wrong={"teacher": 4, "student": wrong})
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
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    code = SERVE.format(folder=str(runs), port=port)
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE)
    deadline = time.perf_counter() + 120
    while not _listens(port):
        assert process.poll() is None, process.stderr
        assert time.perf_counter() < deadline
        time.sleep(0.1)
    yield SimpleNamespace(port=port, url=f"http://127.0.0.1:{port}", runs=runs)
    process.send_signal(signal.SIGINT)
    process.wait(20)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


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
