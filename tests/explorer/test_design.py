"""From the sliders to a spec, its drawing, its price and its estimate, without a browser."""

from __future__ import annotations

import time
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from hybridonn.core.errors import DataError, SpecError
from hybridonn.data import load_dataset
from hybridonn.deployment.energy import ASSUMPTIONS
from hybridonn.explorer.design import (
    Design,
    as_lens,
    build_spec,
    share_kernels,
    start_design,
    write_spec,
)
from hybridonn.explorer.drawing import draw_layout
from hybridonn.explorer.estimates import Bench, lay_out, least_area
from hybridonn.spec import Data, read_spec


@pytest.fixture(scope="module")
def bench():
    """One whose digits are few."""
    few = load_dataset(Data(name="digits", train_images=150))

    class Small(Bench):
        def load(self, data):
            return few

    return Small()


@pytest.mark.parametrize("data", ["digits", "dsb2018", "bccd", "cifar10"])
def test_the_written_spec_is_the_design(data, tmp_path):
    design = replace(start_design(data), kernels=30, gap_mm=0.1, width_mm=20.0, height_mm=12.5)
    path = tmp_path / "design.yaml"
    path.write_text(write_spec(design))
    assert path.read_text().startswith("# yaml-language-server: $schema=")
    assert read_spec(path) == build_spec(design)
    spec = build_spec(design)
    assert (spec.student.kernels, spec.optics.gap_mm, spec.data.name) == (30, 0.1, data)


def test_a_start_is_the_example_itself():
    for data in ("digits", "dsb2018", "cifar10"):
        design = start_design(data)
        spec = build_spec(design)
        assert spec.student.kernels == design.kernels
        assert lay_out(spec).kernels == design.kernels
    assert (
        build_spec(start_design("image_folder").__class__(data="digits")).task == "classification"
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kernels": 9}, "9 kernels are asked for"),
        ({"kernel_size": 4}, "must be odd"),
        ({"site_mm": 5.0}, "does not fit"),
        ({"width_mm": 532.0}, "beyond all that is made"),
        ({"wavelengths": "red"}, "state numbers in nm"),
        ({"wavelengths": "0.532"}, "beyond all that is made"),
        ({"data": "nothing"}, "no data set"),
        ({"pooled_size": 40}, "pooled_size"),
    ],
)
def test_a_wrong_combination_is_a_sentence(change, words, bench):
    with pytest.raises(SpecError, match=words):
        design = replace(Design(), **change)
        lay_out(build_spec(design))
        bench.price(design)


def test_kernels_are_shared_among_branches():
    assert share_kernels(56, [8, 16, 32]) == [8, 16, 32]
    assert sum(share_kernels(30, [8, 16, 32])) == 30
    assert share_kernels(3, [8, 16, 32]) == [1, 1, 1]
    assert share_kernels(5, []) == []
    with pytest.raises(SpecError, match="fewer than the 3 branches"):
        share_kernels(2, [8, 16, 32])


def test_a_drawing_is_to_scale_and_quick():
    spec = build_spec(Design())
    drawn = draw_layout(lay_out(spec))
    root = ElementTree.fromstring(drawn)
    rectangle = root.find("{*}rect")
    assert (float(rectangle.attrib["width"]), float(rectangle.attrib["height"])) == (4, 4)
    paths = root.findall("{*}path")
    assert [path.attrib["d"].count("M") for path in paths] == [0, 8, 8]
    assert "h0.938v0.938" in paths[1].attrib["d"]
    assert "8 of 8 signed kernels" in root.attrib["aria-label"]
    large = replace(Design(), width_mm=40, height_mm=40, site_mm=0.3, kernels=2000)
    began = time.process_time()
    draw_layout(lay_out(build_spec(large)))
    assert time.process_time() - began < 0.5


def test_estimate_and_price_are_those_of_the_commands(bench):
    design = Design()
    found, price = bench.estimate(design), bench.price(design)
    assert found.low < found.value < found.high
    assert found.label == "accuracy"
    assert price.area_mm2 == 16
    assert (price.sub_optics, price.behind.macs, price.behind.optical) == (16, 8832, True)
    assert price.least_mm2 == pytest.approx(least_area(build_spec(design)))
    assert price.least_mm2 == pytest.approx((4 * 0.938 + 3 * 0.05) ** 2)
    again = bench.estimate(replace(design, gap_mm=0.06))  # the images of the kernels are the same
    assert (again.value, again.seconds) == (found.value, 0)
    assert bench.estimate(replace(design, kernels=7), lambda: False) is None


def test_a_lens_has_an_estimate_and_no_metasurface(bench):
    one = bench.weigh("lens", as_lens(Design(pooled_size=2), 1), ASSUMPTIONS[0])
    assert one.lens
    assert one.area_mm2 == 0
    assert 0.3 < one.value < 0.8
    assert one.energy_mj == pytest.approx(2.36, rel=1e-3)


def test_data_that_are_not_there_are_not_downloaded(tmp_path):
    with pytest.raises(DataError, match="downloads nothing"):
        Bench(tmp_path).price(start_design("mnist"))
    assert list(tmp_path.iterdir()) == []
