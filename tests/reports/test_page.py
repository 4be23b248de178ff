import json
from base64 import b64decode
from html.parser import HTMLParser
from importlib.resources import files
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from hybridonn.core.errors import ArtefactError
from hybridonn.reports.page import write_report

NAMES = ("layout", "kernels", "features", "curves", "confusion", "embedding")
VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """Collects what a browser would load, and checks that the tags are balanced."""

    def __init__(self, text):
        super().__init__()
        self.loads, self.links, self.ids, self.open, self.words = [], [], [], [], []
        self.tags = set()
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.tags.add(tag)
        if tag not in VOID:
            self.open.append(tag)
        for key in ("src", "srcset", "poster", "data", "background"):
            if key in attributes:
                self.loads.append(attributes[key])
        if tag == "link":
            self.loads.append(attributes.get("href"))
        if tag == "a":
            self.links.append(attributes["href"])
        if "id" in attributes:
            self.ids.append(attributes["id"])

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def folder(make, tmp_path_factory):
    folder = make(tmp_path_factory.mktemp("runs") / "demo")
    write_report(folder)
    return folder


@pytest.fixture(scope="module")
def page(folder):
    return Page((folder / "report.html").read_text("utf-8"))


def test_the_report_loads_nothing_from_outside(folder, page):
    assert len(page.loads) == len(NAMES)
    assert all(load.startswith("data:image/svg+xml;base64,") for load in page.loads)
    assert not page.tags & {"script", "link", "iframe", "object", "embed", "video", "audio"}
    text = (folder / "report.html").read_text("utf-8")
    style = text[text.index("<style>") : text.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    for load in page.loads:
        svg = ElementTree.fromstring(b64decode(load.split(",")[1]))
        for element in svg.iter():
            for key, value in element.attrib.items():
                if key.endswith("href"):
                    assert value.startswith(("#", "data:"))


def test_every_entry_of_the_contents_has_its_section(page):
    anchors = [link[1:] for link in page.links if link.startswith("#")]
    assert anchors == [*NAMES, "numbers", "spec", "record", "references"]
    assert set(anchors) <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    assert "https://arxiv.org/abs/2508.08421" in page.links


def test_the_report_holds_the_numbers_the_spec_and_the_record(page):
    for part in (
        "97.2 %",
        "98.9 %",
        "47,140",
        "0.972222",
        "extra.calibration_error",
        "0.0123",
        "split_seed: 0",
        "2.13.0",
        "a" * 64,
        "hybridonn run spec.yaml --out runs/demo",
        "student_train",
        "1,000",
        "35.9 s",
    ):
        assert part in page.text


def test_the_figures_are_files_too_and_not_blank(folder):
    files = {path.name for path in (folder / "figures").iterdir()}
    assert files == {f"{name}.{form}" for name in NAMES for form in ("png", "svg")}
    for name in NAMES:
        with Image.open(folder / "figures" / f"{name}.png") as image:
            pixels = np.asarray(image.convert("L"), dtype=float)
        assert min(pixels.shape) > 300
        assert pixels.std() > 10


def test_the_report_is_the_same_bytes_again(folder):
    before = (folder / "report.html").read_bytes()
    assert write_report(folder) == folder / "report.html"
    assert (folder / "report.html").read_bytes() == before


def test_every_text_of_the_run_is_escaped(make, nasty, tmp_path):
    folder = make(tmp_path / "demo", classes=[nasty, "b", *"cdefghij"])
    for name in ("record.json", "results.json"):
        tree = json.loads((folder / name).read_text())
        tree.get("data", tree.get("student"))["name"] = nasty
        tree[nasty] = {nasty: nasty}
        (folder / name).write_text(json.dumps(tree))
    spec = folder / "spec.yaml"
    spec.write_text(spec.read_text() + f"# </pre>{nasty}\n")
    text = write_report(folder).read_text("utf-8")
    page = Page(text)
    assert "script" not in page.tags
    assert "<script" not in text
    assert nasty in page.text
    assert f"test images of {nasty}" in page.text


@pytest.mark.parametrize("name", ["student/examples.npz", "teacher/history.csv", "record.json"])
def test_a_bad_artefact_leaves_the_old_report_and_figures(make, tmp_path, name):
    folder = make(tmp_path / "demo")
    (folder / "figures").mkdir()
    (folder / "figures" / "layout.png").write_text("old")
    (folder / "report.html").write_text("old")
    (folder / name).write_bytes(b"\x00damaged")
    with pytest.raises(ArtefactError) as caught:
        write_report(folder)
    assert str(folder / name) in str(caught.value)
    assert (folder / "report.html").read_text() == "old"
    assert (folder / "figures" / "layout.png").read_text() == "old"


def test_a_run_without_teacher_has_a_report(make, tmp_path):
    folder = make(tmp_path / "demo", kernels=3, bands=3)
    path = folder / "results.json"
    results = json.loads(path.read_text())
    del results["teacher"]
    path.write_text(json.dumps(results))
    page = Page(write_report(folder).read_text("utf-8"))
    assert "no teacher" in page.text
    assert "of the teacher kept" not in page.text


def test_wide_tables_scroll_in_a_narrow_window():
    template = (files("hybridonn.reports") / "report.html").read_text("utf-8")
    assert template.count('<table class="columns') == 1
    assert '<div class="scroll">\n<table class="columns' in template
