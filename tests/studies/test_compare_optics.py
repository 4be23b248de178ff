"""A lens, designed optics and ideal kernels in front of the same backend."""

import csv
import json

import pytest

from hybridonn.core.errors import SpecError
from hybridonn.spec import read_spec
from hybridonn.studies.compare_optics import compare_optics
from hybridonn.studies.methods import choose_compared
from hybridonn.studies.optics_choice import parse_optics, state_all, state_optics

TINY = (
    "optics.kernel_site_mm=0.0752",
    "optics.gap_mm=0.004",
    "optics.metasurface_width_mm=0.5",
    "optics.metasurface_height_mm=0.5",
    "optics.metasurface.sensor_distance_mm=0.2",
    "optics.metasurface.kernel_pixel_um=7.032",
    "optics.metasurface.steps=1",
    "optics.sensor.pixel_um=3.516",
    "student.kernels=2",
    "student.kernel_size=3",
    "teacher.training.epochs=1",
    "training.epochs=1",
    "data.train_images=100",
    "distillation.method=none",
)
BRANCHES = '[{"kernels": 3}, {"kernels": 2, "binning": 2}]'


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HYBRIDONN_CACHE", str(tmp_path / "cache"))


def test_all_optics_are_compared_on_paired_seeds_behind_the_camera(tmp_path):
    folder, spec = tmp_path / "study", read_spec(None, (*TINY, "optics.sensor.bit_depth=2"))
    found = compare_optics(spec, ("lens", "designed", "ideal", "none"), 1, folder)
    assert list(found["methods"]) == ["lens", "designed", "ideal", "none"]
    assert [one["label"] for one in found["methods"].values()] == [
        "plain lens",
        "designed metasurface",
        "ideal kernels",
        "all digital",
    ]
    lens, designed, ideal, digital = found["methods"].values()
    assert (lens["kernels"], designed["kernels"], ideal["kernels"]) == (1, 2, 2)
    assert (lens["read_out_pixels"], ideal["read_out_pixels"]) == (64, 2 * 2 * 64)
    assert designed["digital_parameters"] == ideal["digital_parameters"]
    assert ideal["digital_parameters"] - lens["digital_parameters"] == 1 + 16 * 64
    assert lens["macs"] < ideal["macs"]
    assert (digital["kernels"], digital["read_out_pixels"]) == (2, 64)
    assert digital["digital_parameters"] - ideal["digital_parameters"] == 2 * 9
    assert digital["macs"] - ideal["macs"] == 64 * 2 * 9
    assert digital["perfect_camera"] == ideal["perfect_camera"]  # the same function
    assert "electronics compute all of it behind a lens" in found["sentences"][-2]
    assert ideal["values"] != [ideal["perfect_camera"]]  # two bits act
    assert "inputs of 1 kernel instead of 2" in found["sentences"][-1]
    assert json.loads((folder / "comparison.json").read_text()) == found
    rows = list(csv.DictReader((folder / "comparison.csv").open()))
    assert [row["optics"] for row in rows] == ["lens", "designed", "ideal", "none"]
    assert (folder / "comparison.png").stat().st_size > 1000
    # The metasurface is that of the ideal kernels of its seed, which are trained once.
    assert len(list((folder / "students").glob("[a-z]*"))) == 3
    assert compare_optics(spec, ("ideal", "lens"), 1, folder)["methods"]["lens"] == lens


def test_a_lens_has_the_kernels_of_the_channels_in_each_branch():
    spec = read_spec(None, ("data.name=dsb2018", "task=segmentation", "teacher.name=u-net",
        f"student.branches={BRANCHES}", "student.kernels=5", "student.backend=pyramid",
        "student.hidden=[2, 2]", "teacher.arguments={}"))  # fmt: skip
    lens = state_optics(state_all(spec, "none"), "lens", 3).student
    assert (lens.kernels, [one.kernels for one in lens.branches]) == (6, [3, 3])
    assert lens.hidden == spec.student.hidden


def test_a_choice_that_does_not_exist_is_refused_in_one_sentence():
    lens = read_spec(None, ("optics.frontend=lens", "student.kernels=1"))
    with pytest.raises(SpecError, match="frontend is lens, of which there is nothing to design"):
        state_optics(state_all(lens, "none"), "designed", 1)
    digital = read_spec(None, ("student.optics=none",))
    with pytest.raises(SpecError, match=r"student.optics is none, of which there is nothing"):
        state_optics(state_all(digital, "none"), "designed", 1)
    assert state_optics(state_all(digital, "none"), "ideal", 1).student.optics == "trained"
    robust = read_spec(None, ("distillation.robust=true", "fabrication.preset=paper-mnist"))
    with pytest.raises(SpecError, match=r"robust is true.* a lens has none; set"):
        state_all(robust, "ntkd")
    with pytest.raises(SpecError, match=r"'glass' is not known; allowed is any of lens, designed"):
        parse_optics("lens,glass")
    with pytest.raises(SpecError, match="--methods and --optics are both given"):
        choose_compared("none", "lens")


def test_a_4f_system_is_the_designed_optics_of_its_own_spec():
    spec = read_spec(None, ("optics.frontend=four_f", "optics.four_f.mask_pixels=17"))
    whole = state_all(spec, "none")
    assert state_optics(whole, "designed", 1).optics.frontend == "four_f"
    assert state_optics(whole, "ideal", 1).optics.frontend == "ideal"
    assert choose_compared(None, "lens,ideal") == (("lens", "ideal"), "compare-optics")
    assert choose_compared(None, None) == (("none", "kd", "ntkd"), "compare")
