"""What a spec states in its own units against the SI records that the optics get."""

import ast
import math
import re
from pathlib import Path

import pytest

import hybridonn.optics
from hybridonn.core.errors import OpticsError, SamplingError, SpecError
from hybridonn.optics.fabrication.chip_errors import ChipErrors
from hybridonn.optics.fabrication.table import ERRORS, TABLE
from hybridonn.pipeline.chip import plan_optics
from hybridonn.pipeline.from_spec import (
    QUANTITY_KEYS,
    lay_out_kernels,
    naming_keys,
    read_chip_errors,
    read_magnitudes,
    read_surface_size,
)
from hybridonn.spec import Fabrication, Optics, Spec, default_tree

UNITS = {
    "nm": ("m", 1e-9),
    "um": ("m", 1e-6),
    "mrad": ("radians", 1e-3),
    "degrees": ("radians", math.pi / 180),
}


def test_no_module_of_the_optics_imports_a_spec():
    for path in Path(hybridonn.optics.__path__[0]).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not any(name.startswith("hybridonn.spec") for name in names), path


def list_errors():
    """File, line, the words and the quantities of each error that the optics raise."""
    for path in Path(hybridonn.optics.__path__[0]).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
                words, *quantities = ([*ast.walk(given)] for given in node.exc.args)
                yield (
                    f"{path.name}:{node.lineno}",
                    " ".join(p.value for p in words if is_text(p)),
                    [part.value for given in quantities for part in given if is_text(part)],
                )


def is_text(node):
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def test_errors_of_the_optics_speak_physics_and_name_quantities_that_have_keys():
    key = re.compile(r"\b(optics|student|fabrication|data|training)\.[a-z_]+")
    found = list(list_errors())
    assert len(found) > 90
    for place, words, quantities in found:
        assert not key.search(words), f"{place}: {words}"
        assert set(quantities) <= set(QUANTITY_KEYS), f"{place}: {quantities}"


def test_every_key_of_a_quantity_is_a_key_of_the_spec():
    chip = Spec.model_validate(default_tree() | {"optics": {"metasurface": {}}})
    for key in QUANTITY_KEYS.values():
        value = chip
        for name in key.split("."):
            value = getattr(value, name)


def test_the_keys_are_added_to_what_the_optics_refuse():
    with pytest.raises(SamplingError, match=r"^too steep \(keys: optics\.gap_mm\)$"), naming_keys():
        raise SamplingError("too steep", "gap_m")
    with pytest.raises(OpticsError, match=r"^none$"), naming_keys():
        raise OpticsError("none")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"kernel_pixel_um": 11.5},
            r"pixel 11\.72 um \(keys: optics\.metasurface\.kernel_pixel_um\)",
        ),
        (
            {"min_gap_nm": 228.0},
            r"\(keys: optics\.metasurface\.min_width_nm, .*min_gap_nm, .*grid_nm\)",
        ),
        ({"sensor_distance_mm": 0.5}, r"\(keys: optics\.metasurface\.cell_pillars, .*distance_mm"),
    ],
)
def test_a_chip_that_cannot_be_made_is_refused_with_its_keys(change, words):
    spec = Spec.model_validate(default_tree() | {"optics": {"metasurface": change}})
    with pytest.raises(OpticsError, match=words):
        plan_optics(spec, (1, 28, 28))


@pytest.mark.parametrize("record", TABLE, ids=lambda record: record.key)
def test_a_record_names_the_unit_of_the_spec_and_the_si_unit(record):
    stem, _, unit = record.key.rpartition("_")
    si_unit, factor = UNITS.get(unit, (unit, 1.0))
    assert record.quantity == (f"{stem}_{si_unit}" if stem else record.key)
    assert record.si == factor
    assert Fabrication.model_fields[record.key].default == record.default


def test_magnitudes_are_in_si_units():
    errors = read_chip_errors(Fabrication(width_bias_nm=3.0, rotation_degrees=180.0, seed=4))
    assert errors["width_bias_m"] == pytest.approx(3e-9)
    assert errors["rotation_radians"] == pytest.approx(math.pi)
    assert errors["stitch_field_m"] == pytest.approx(500e-6)
    assert errors.seed == 4
    assert not any(read_chip_errors(Fabrication())[record.quantity] for record in ERRORS)


def test_magnitudes_of_some_keys_are_read_alone():
    found = read_magnitudes(Fabrication(preset="paper-mnist"), "shift_pixels")
    assert "shift_pixels" in found
    assert "width_bias_m" not in found


def test_an_error_that_the_table_has_not_is_refused():
    with pytest.raises(OpticsError, match="no error of fabrication width_bias_nm; known are"):
        ChipErrors(magnitudes={"width_bias_nm": 3.0})


def test_what_does_not_fit_is_refused_with_its_keys():
    size = read_surface_size(Optics(kernel_site_mm=2.0, gap_mm=0.1))
    assert (size.site_m, size.gap_m, size.wafer_diameter_m) == (2e-3, 1e-4, 0.1)
    with pytest.raises(SpecError, match=r"9 kernels are asked for.*optics\.kernel_site_mm"):
        lay_out_kernels(Optics(), 9)
