"""The section of the metasurface, on made-up PSFs whose images are known."""

import numpy as np
import pytest

from hybridonn.core.errors import ArtefactError
from hybridonn.reports.artefacts.metasurface import read_optics
from hybridonn.reports.artefacts.run import read_run
from hybridonn.reports.figures.psfs import draw_optics
from hybridonn.reports.page import write_report
from hybridonn.reports.sections.all import list_figures
from hybridonn.reports.tables.metasurface import list_numbers
from hybridonn.tasks.classification import Classification

SIDE = 4  # cells along a pixel


def panels(figure):
    return [np.asarray(axes.images[0].get_array()) for axes in figure.axes]


@pytest.mark.parametrize(("bands", "rows"), [(1, 4), (3, 9)])
def test_a_perfect_metasurface_looks_like_its_targets(make, tmp_path, bands, rows, add_metasurface):
    folder, kernels, numbers, _ = add_metasurface(make(tmp_path / "run", bands=bands))
    figure = draw_optics(read_optics(folder, numbers, kernels))
    shown = panels(figure)
    assert len(shown) == 8 * rows
    for row in range(rows):
        wanted, got, light, minus, minus_got, _, signed, signed_got = shown[8 * row : 8 * row + 8]
        kernel = kernels[row // bands, row % bands]
        assert wanted.min() >= 0 >= minus.max()
        assert np.allclose(wanted, got, atol=1e-6)
        assert np.allclose(minus, minus_got, atol=1e-6)
        assert wanted.shape == (11, 11)
        assert light.shape == (11 * SIDE, 11 * SIDE)
        assert np.allclose(signed, kernel[::-1, ::-1], atol=1e-6)
        assert np.allclose(signed_got, signed, atol=1e-6)
    names = [axes.get_ylabel() for axes in figure.axes if axes.get_ylabel()]
    assert len(names) == rows
    assert names[0] == f"kernel 0\n{635 if bands == 3 else 532} nm"


def add_branches(folder, arrays):
    """The same as if the last four kernels were read out at half the resolution."""
    shown = [0, 4, 1, 5]
    margin = arrays["fine_target"].shape[-1] // SIDE // 2 - arrays["target"].shape[-1] // 2
    framed = np.pad(arrays["target"][shown], [(0, 0)] * 3 + [(margin, margin)] * 2)
    fine = framed.repeat(SIDE, -1).repeat(SIDE, -2)
    more = {
        "shown": np.array(shown),
        "sizes": np.array([5] * 4 + [7] * 4),
        "binnings": np.array([1] * 4 + [2] * 4),
        "fine_psf": fine,
        "fine_target": fine,
    }
    np.savez(folder / "metasurface" / "psf.npz", **(arrays | more))


def test_each_branch_shows_a_kernel_in_its_own_frame(make, tmp_path, add_metasurface):
    folder, kernels, numbers, arrays = add_metasurface(make(tmp_path / "run"))
    add_branches(folder, arrays)
    optics = read_optics(folder, numbers | {"kernel_error_by_branch": [0.03, 0.06]}, kernels)
    figure = draw_optics(optics)
    names = [axes.get_ylabel() for axes in figure.axes if axes.get_ylabel()]
    assert names[:2] == ["kernel 0\n532 nm\nbinned 1×1", "kernel 4\n532 nm\nbinned 2×2"]
    signed = [panels(figure)[8 * row + 6] for row in range(2)]
    assert [plane.shape[-1] for plane in signed] == [5, 7]
    assert np.allclose(signed[1], kernels[4, 0, ::-1, ::-1], atol=1e-6)
    rows = {row[0]: row[1:] for row in list_numbers(optics, Classification())}
    assert rows["kernel error at full resolution"] == ("–", "3.00 %")
    assert rows["kernel error at 1/2 resolution"] == ("–", "6.00 %")


def test_the_caption_explains_spots_where_a_branch_has_them(make, tmp_path, add_metasurface):
    folder, _, _, arrays = add_metasurface(make(tmp_path / "run"))
    captions = []
    for branches in (False, True):
        if branches:
            add_branches(folder, arrays)
        figures = {figure.name: figure for figure in list_figures(read_run(folder))}
        captions.append(figures["optics"].caption)
    assert "spots b pixels apart" not in captions[0]
    assert captions[1] == captions[0] + (
        " A kernel that is read out at 1/b of the resolution lies on the sensor as spots b pixels "
        "apart; b × b pixels of its image are summed."
    )


def test_a_kernel_that_is_not_there_is_refused(make, tmp_path, add_metasurface):
    folder, kernels, numbers, arrays = add_metasurface(make(tmp_path / "run"))
    wrong = arrays | {"shown": np.array([0, 1, 2, 8])}
    np.savez(folder / "metasurface" / "psf.npz", **wrong)
    with pytest.raises(ArtefactError, match=r"calls them \[0, 1, 2, 8\], of 8"):
        read_optics(folder, numbers, kernels)


def test_a_narrow_window_shows_what_it_holds(make, tmp_path, add_metasurface):
    folder, kernels, numbers, _ = add_metasurface(make(tmp_path / "run"), window=9)
    shown = panels(draw_optics(read_optics(folder, numbers, kernels)))
    assert [plane.shape[-1] for plane in shown[:3]] == [9, 9, 9 * SIDE]


def test_the_table_has_every_number(make, tmp_path, add_metasurface):
    folder, kernels, numbers, _ = add_metasurface(make(tmp_path / "run", bands=3))
    table = list_numbers(read_optics(folder, numbers, kernels), Classification())
    assert table[0] == ("", "ideal kernels", "metasurface")
    rows = {row[0]: row[1:] for row in table}
    assert rows["test accuracy"] == ("86.35 %", "86.07 %")
    assert rows["kernel error, mean over kernels"] == ("–", "4.37 %")
    assert rows["kernel error at 532 nm"] == ("–", "5.00 %")
    assert rows["root D at 450 nm"] == ("–", "0.630")
    assert rows["efficiency"] == ("–", "53.80 %")
    assert rows["cross-talk, worst sub-optic"] == ("–", "24.00 %")


def test_the_two_strategies_stand_side_by_side(make, tmp_path, add_metasurface):
    folder, kernels, numbers, _ = add_metasurface(make(tmp_path / "run"), "end-to-end")
    table = list_numbers(read_optics(folder, numbers, kernels), Classification())
    assert table[0] == ("", "ideal kernels", "kernels first", "end to end")
    rows = {row[0]: row[1:] for row in table}
    assert rows["test accuracy"] == ("86.35 %", "85.00 %", "86.07 %")
    assert rows["root D"] == ("–", "0.900", "0.830")
    assert rows["loss of the authors"] == ("–", "–", "0.694")


def test_the_report_shows_the_section_and_its_table(make, tmp_path, add_metasurface):
    folder, *_ = add_metasurface(make(tmp_path / "run"))
    text = write_report(folder).read_text("utf-8")
    assert '<section id="optics">' in text
    assert '<th scope="col">metasurface</th>' in text
    assert '<th scope="row">test accuracy</th><td>86.35 %</td><td>86.07 %</td>' in text
    assert (folder / "figures" / "optics.png").exists()


def test_a_run_without_metasurface_has_no_section(run_folder):
    assert read_run(run_folder).optics is None
    assert 'id="optics"' not in write_report(run_folder).read_text("utf-8")


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("psf", lambda a: a[:3], "psf has the shape"),
        ("target", lambda a: a[..., 1:, 1:], "the targets have 6 pixels, and the kernels 7"),
        ("gains", lambda a: a * np.nan, "gains holds values that are not finite"),
        ("fine_psf", lambda a: a[..., 1:, 1:], "fine_target has the shape"),
        ("fine_target", lambda a: a * 0, "do not show a kernel"),
        ("psf", lambda a: a[..., 5:-5, 5:-5], "do not show a kernel"),
    ],
)
def test_artefacts_that_contradict_each_other_are_refused(
    make, tmp_path, name, change, message, add_metasurface
):
    folder, _, _, arrays = add_metasurface(make(tmp_path / "run"))
    np.savez(folder / "metasurface" / "psf.npz", **(arrays | {name: change(arrays[name])}))
    with pytest.raises(ArtefactError, match=message):
        read_run(folder)


def test_a_missing_file_is_named(make, tmp_path, add_metasurface):
    folder, *_ = add_metasurface(make(tmp_path / "run"))
    (folder / "metasurface" / "psf.npz").unlink()
    with pytest.raises(ArtefactError, match=r"psf\.npz cannot be used: it is missing"):
        read_run(folder)
