"""From the artefacts of a run to its layout file."""

import json
from pathlib import Path

import numpy as np
import pytest

from hybridonn.cli.app import app
from hybridonn.core.errors import ArtefactError, OpticsError
from hybridonn.core.files import write_arrays, write_json, write_text
from hybridonn.optics.layout.layout_reading import read_layout
from hybridonn.pipeline.from_spec import lay_out_kernels
from hybridonn.pipeline.layout_file import export_layout
from hybridonn.pipeline.run_record import write_run_record
from hybridonn.pipeline.stage_folder import write_record
from hybridonn.spec import dump_spec, read_spec

SMALL = (
    "name=tiny",
    "optics.kernel_site_mm=0.0060",
    "optics.gap_mm=0.002",
    "optics.metasurface_width_mm=0.03",
    "optics.metasurface_height_mm=0.03",
    "optics.metasurface.min_gap_nm=53",
    "student.kernels=2",
)
CELLS = 10


def make_folder(folder, *settings, period_nm=293):
    """The files of a run that the export reads, as the stages write them."""
    spec = read_spec(None, (*SMALL, *settings))
    write_text(folder / "spec.yaml", dump_spec(spec))
    write_json(folder / "layout" / "layout.json", lay_out_kernels(spec.optics, 2).to_dict())
    widths = np.random.default_rng(0).integers(65, 238, (2, 2, CELLS, CELLS)).astype(np.uint16)
    period_m = period_nm * 1e-9
    write_arrays(
        folder / "metasurface" / "widths.npz", widths=widths, cell_pillars=2, period_m=period_m
    )
    for stage in ("layout", "metasurface"):
        write_record(folder / stage, "f" * 64, {})
    data = {"classes": ["a", "b"], "image_shape": [1, 8, 8]}
    hashes = dict.fromkeys(("layout", "metasurface"), "f" * 64)
    write_run_record(folder, {"data": data, "hashes": hashes})
    return folder, widths


@pytest.fixture
def run(tmp_path):
    return make_folder(tmp_path / "run")


def test_the_file_holds_the_design_of_the_run(run):
    folder, widths = run
    made = export_layout(folder)
    assert made.path == folder / "layout.oas"
    assert np.array_equal(read_layout(made.path, 293e-9).widths, widths)
    numbers = made.to_dict()["layout_file"]
    assert numbers["pillars"] == 4 * widths.size
    assert numbers["bytes"] == made.path.stat().st_size
    assert (folder / "layout.oas.png").exists()
    record = json.loads((folder / "layout_file.json").read_text())
    assert record["metasurface"] == "f" * 64
    assert record["summary"]["sha256"] == made.summary.sha256


def test_the_ending_chooses_the_format(run, tmp_path):
    folder, widths = run
    path = tmp_path / "fab" / "chip.gds"
    assert export_layout(folder, path, tone="cleared").path == path
    found = read_layout(path, 293e-9)
    assert found.cleared
    assert np.array_equal(found.widths, widths)


def test_half_a_nanometre_is_taken_where_the_period_asks_for_it(tmp_path):
    folder, widths = make_folder(tmp_path / "run", period_nm=292.5)
    assert export_layout(folder).summary.step_nm == 0.5
    assert np.array_equal(read_layout(folder / "layout.oas", 292.5e-9).widths, widths)


def test_the_limits_are_those_of_the_spec(tmp_path):
    folder, _ = make_folder(tmp_path / "run", "optics.metasurface.min_width_nm=100")
    with pytest.raises(OpticsError, match="pillar below 100 nm"):
        export_layout(folder)
    assert not (folder / "layout.oas").exists()
    assert not (folder / "layout_file.json").exists()


def test_a_folder_that_is_no_run_or_has_no_metasurface_is_refused(run, tmp_path):
    with pytest.raises(ArtefactError, match=r"no run folder: it holds no spec\.yaml"):
        export_layout(tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()
    folder, _ = run
    (folder / "metasurface" / "stage.json").unlink()
    with pytest.raises(ArtefactError, match=r"has no metasurface.*hybridonn design"):
        export_layout(folder)


def test_damaged_widths_are_refused(run):
    folder, widths = run
    path = folder / "metasurface" / "widths.npz"
    write_arrays(path, widths=widths)
    with pytest.raises(ArtefactError, match=r"widths\.npz is damaged: its checksum"):
        export_layout(folder)
    write_record(path.parent, "f" * 64, {})
    with pytest.raises(ArtefactError, match="lacks cell_pillars, period_m"):
        export_layout(folder)
    path.write_bytes(path.read_bytes()[:100])
    write_record(path.parent, "f" * 64, {})
    with pytest.raises(ArtefactError, match="damaged"):
        export_layout(folder)
    write_arrays(path, widths=widths[:1], cell_pillars=2, period_m=293e-9)
    write_record(path.parent, "f" * 64, {})
    with pytest.raises(OpticsError, match="1 kernels, and the layout places 2"):
        export_layout(folder)


def test_the_command_prints_the_numbers_and_the_path(run):
    from typer.testing import CliRunner

    folder, _ = run
    found = CliRunner().invoke(app, ["export-layout", str(folder)])
    assert found.exit_code == 0, found.output
    assert "\n  pillars  " in found.output
    assert Path(found.output.split("\n")[-2].strip()).name == "layout.oas"
