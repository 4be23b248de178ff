"""The designed pillars in the report: widths, phases, and what the chip is made of."""

import json
import shutil

import numpy as np
import pytest
import torch

from hybridonn.core.errors import ArtefactError
from hybridonn.optics.meta_atoms.pillars import PillarLibrary
from hybridonn.reports.artefacts.pillar_maps import read_width_maps
from hybridonn.reports.artefacts.run import read_run
from hybridonn.reports.figures.pillar_maps import draw_width_maps
from hybridonn.reports.page import write_report
from hybridonn.reports.sections.metasurface import describe_pillars
from hybridonn.reports.tables.pillars import list_pillar_numbers, name_material
from hybridonn.reports.verdict import describe_run

WIDTHS = np.array([0, 100, 150, 200])
TURNS = np.array([0, 0.25, 0.5, 1.25])  # of a pillar beside an empty cell
NUMBERS = {
    "material": "Si3N4/Beliaev",
    "substrate": "SiO2/Malitson",
    "height_nm": 750.0,
    "period_nm": 293.0,
    "cell_nm": 586.0,
    "narrowest_nm": 100,
    "widest_nm": 200,
    "aperture_mm": 0.938,
    "distance_mm": 2.4,
    "numerical_aperture": 0.1918,
    "cells": 40,
    "sub_optics": 16,
}


def add_pillars(folder, colours=1, cells=40):
    """Widths and the library of a design, and its numbers, in a run folder."""
    rng = np.random.default_rng(0)
    widths = WIDTHS[rng.integers(0, 4, (8, 2, cells, cells))].astype(np.uint16)
    np.savez(folder / "metasurface" / "widths.npz", widths=widths, cell_pillars=2)
    nm = (635.0, 532.0, 450.0) if colours == 3 else (532.0,)
    sent = torch.polar(torch.ones(4), torch.tensor(2 * np.pi * TURNS).float()).expand(colours, 4)
    names = ("Si3N4/Beliaev", "SiO2/Malitson", "by hand")
    library = PillarLibrary(
        torch.tensor(nm) * 1e-9, torch.tensor(WIDTHS) * 1e-9, sent, 293e-9, 750e-9, *names
    )
    library.write_csv(folder / "metasurface" / "library.csv")
    results = json.loads((folder / "results.json").read_text())
    results["metasurface"] |= NUMBERS | {"cells": cells}
    (folder / "results.json").write_text(json.dumps(results))
    return widths


@pytest.fixture
def designed(make, tmp_path, add_metasurface):
    folder = make(tmp_path / "run")
    add_metasurface(folder)
    add_pillars(folder)
    return folder


def test_phases_are_those_of_the_library(designed):
    maps = read_width_maps(designed, 2)
    widths = np.load(designed / "metasurface" / "widths.npz")["widths"][2]
    assert (maps.widths_nm == widths).all()
    expected = np.select([widths == w for w in WIDTHS], TURNS % 1)
    assert np.allclose(
        np.exp(2j * np.pi * maps.phases[0]), np.exp(2j * np.pi * expected), atol=1e-5
    )
    assert maps.phases.min() >= 0
    assert maps.phases.max() < 1
    assert maps.cell_um == pytest.approx(0.586)


@pytest.mark.parametrize(("colours", "cells"), [(1, 40), (3, 900)])
def test_whole_and_middle_are_drawn(make, tmp_path, add_metasurface, colours, cells):
    folder = make(tmp_path / "run", bands=colours)
    add_metasurface(folder)
    widths = add_pillars(folder, colours, cells)
    figure = draw_width_maps(read_width_maps(folder))
    shown = [axes for axes in figure.axes if axes.images and axes.get_label() != "<colorbar>"]
    assert len(shown) == 2 * (3 + colours)
    whole, middle = (np.asarray(shown[k].images[0].get_array()) for k in (0, 1 + colours))
    step = 1 if cells == 40 else 3
    assert (whole == widths[0, 0, ::step, ::step]).all()  # cells, not means of them
    first = (cells - 24) // 2
    assert (middle == widths[0, 0, first : first + 24, first : first + 24]).all()
    titles = [axes.get_title() for axes in shown[: 1 + colours]]
    assert titles[:2] == ["width", f"phase at {635 if colours == 3 else 532} nm"]
    labels = [axes.get_xlabel() for axes in shown if axes.get_xlabel()]
    assert f"{cells:,} cells, {cells * 0.586:.4g} µm" in labels


def test_the_report_names_material_height_and_aperture(designed):
    text = " ".join(write_report(designed).read_text("utf-8").split())
    assert '<section id="pillars"' in text
    for row in (
        ("pillars", "Si3N4 (Beliaev)"),
        ("substrate", "SiO2 (Malitson)"),
        ("height of the pillars", "750 nm"),
        ("width of the pillars", "100 to 200 nm"),
        ("side of a sub-optic", "0.938 mm, 40 cells"),
        ("metasurface to sensor", "2.4 mm"),
        ("numerical aperture (NA)", "0.192"),
        ("wavelengths", "532 nm"),
    ):
        assert f'<th scope="row">{row[0]}</th><td>{row[1]}</td>' in text
    assert (designed / "figures" / "pillars.svg").stat().st_size > 5000
    assert "with the designed metasurface" in text


def test_the_head_of_the_report_says_what_the_metasurface_reaches(designed):
    text = " ".join(describe_run(read_run(designed)))
    assert "accuracy (95 % interval 95.0 to 98.5 %) with ideal optics" in text
    assert (
        "With its designed metasurface, pillars of Si3N4 (Beliaev) on SiO2 (Malitson), 750 nm "
        "high and 100 to 200 nm wide, one every 293 nm, designed for 532 nm, numerical aperture "
        "(NA) 0.192, the simulation reaches 86.1 % accuracy (82.2 to 89.3 %) on the same images, "
        "11.2 points less than ideal optics."
    ) in text


def test_a_design_of_an_earlier_version_is_shown_without_phases(make, tmp_path, add_metasurface):
    folder, *_ = add_metasurface(make(tmp_path / "run"))
    assert read_run(folder).width_maps is None
    text = " ".join(write_report(folder).read_text("utf-8").split())
    assert "Widths and phases of the pillars are not shown" in text
    assert "With its designed metasurface, pillars designed for 532 nm, the simulation" in text
    assert list_pillar_numbers({}, (532.0,)) == []


def test_files_that_do_not_fit_are_named(designed):
    folder = designed / "metasurface"
    np.savez(folder / "widths.npz", widths=np.full((8, 2, 4, 4), 240, np.uint16))
    with pytest.raises(ArtefactError, match=r"library\.csv cannot be used: .*240"):
        read_width_maps(designed)
    (folder / "library.csv").write_text("width_nm\n")
    with pytest.raises(ArtefactError, match=r"library\.csv"):
        read_width_maps(designed)
    shutil.rmtree(folder)
    assert read_width_maps(designed) is None


def test_materials_and_light_in_words():
    assert name_material("TiO2") == "TiO2"
    assert name_material("") == "a material that the library does not name"
    assert "designed for 635, 532, 450 nm" in describe_pillars(NUMBERS, (635.0, 532.0, 450.0))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"cell_pillars": np.array([2, 2])}, r"cell_pillars has the shape \(2,\)"),
        ({"cell_pillars": np.array(2.5)}, "cell_pillars holds float64, not whole numbers"),
        ({"cell_pillars": np.array(0)}, "cell_pillars is 0"),
        ({"widths": np.full((8, 1, 4, 4), 100)}, r"\(8, 1, 4, 4\) are not those of two parts"),
        ({"widths": np.full((1, 2, 4, 4), 100)}, "not those of two parts of kernel 2"),
    ],
)
def test_widths_that_are_none_are_refused(designed, change, sentence):
    path = designed / "metasurface" / "widths.npz"
    np.savez(path, **dict(np.load(path)) | change)
    with pytest.raises(ArtefactError, match=sentence):
        read_width_maps(designed, 2)
