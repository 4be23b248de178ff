"""Live inference within the explorer: its page and its answers, without a camera."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from hybridonn.core.errors import ArtefactError
from hybridonn.data.readers.image_files import Target
from hybridonn.explorer.live_tab import render_frame
from hybridonn.explorer.routes import list_routes
from hybridonn.explorer.run_table import RunTable
from hybridonn.explorer.systems import Systems


class Known(Systems):
    """One deployed run, whose network says of an image that it is a seven."""

    def open(self, name):
        if name != "a&b":
            raise ArtefactError(f"{name} vanished")
        manifest = SimpleNamespace(
            run="<i>", optics="student", backend="student", classes=("seven", "</script>")
        )
        answer = SimpleNamespace(
            label="seven", confidence=0.9, milliseconds=1.0, shares=(0.9, 0.1), predicted=np.ones(1)
        )
        answer.predicted = SimpleNamespace(is_floating_point=lambda: False)
        predictor = SimpleNamespace(manifest=manifest, answer_picture=lambda image: answer)
        return SimpleNamespace(predictor=predictor, target=Target(4, 4, True))


@pytest.fixture
def client(tmp_path):
    pytest.importorskip("nicegui")
    from starlette.applications import Starlette
    from starlette.testclient import TestClient

    table = RunTable(tmp_path)
    return TestClient(Starlette(routes=list_routes(table, Known(table))))


def test_the_page_asks_for_answers_of_its_own_run_and_names_are_text(client):
    page = client.get("/live?run=a%26b").text
    assert '"address": "/frame?run=a%26b&"' in page
    assert "&lt;i&gt;" in page
    assert page.count("</script>") == 1
    assert 'src="/live?run=a%26b"' in render_frame("a&b")


def test_frames_are_answered_by_the_run_that_is_named(client):
    reply = client.post("/frame?run=a%26b&invert=1", content=bytes(48))
    assert reply.json()["label"] == "seven"
    short = client.post("/frame?run=a%26b", content=bytes(3))
    assert (short.status_code, "the browser sent 3 bytes" in short.json()["said"]) == (400, True)
    assert client.post("/frame?run=gone", content=b"").json() == {"said": "gone vanished"}
    gone = client.get("/live?run=gone")
    assert (gone.status_code, "gone vanished" in gone.text) == (404, True)


def test_what_is_not_deployed_is_not_listed(tmp_path, runs):
    assert Systems(RunTable(runs)).list_names() == []
    with pytest.raises(ArtefactError, match="vanished"):
        Systems(RunTable(runs)).open("none")
