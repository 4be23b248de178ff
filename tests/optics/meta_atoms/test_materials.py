from pathlib import Path

import numpy as np
import pytest

from hybridonn.core.errors import OpticsError
from hybridonn.optics.meta_atoms.materials import packaged_file, read_material

QUARTZ = packaged_file("SiO2/Malitson.yml")
NITRIDE = packaged_file("Si3N4/Beliaev.yml")


def write(folder: Path, data: str) -> Path:
    path = folder / "Some.yml"
    path.write_text(f"REFERENCES: me\nDATA:\n{data}")
    return path


@pytest.mark.parametrize(
    ("wavelength_nm", "published"),
    # Malitson 1965 (J. Opt. Soc. Am. 55, 1205), table I, computed values.
    [(404.6561, 1.469618), (546.0740, 1.460078), (587.5618, 1.458464), (1529.582, 1.444268)],
)
def test_fused_silica_is_as_malitson_published(wavelength_nm, published):
    assert read_material(QUARTZ).index(wavelength_nm * 1e-9) == pytest.approx(published, abs=2e-6)


def test_formula_1_is_sellmeiers(tmp_path):
    # Sapphire, ordinary ray, sodium D line: n = 1.7682 (Malitson & Dodge 1972).
    path = write(
        tmp_path,
        "  - type: formula 1\n    wavelength_range: 0.20 5.0\n    coefficients: 0 1.4313493 "
        "0.0726631 0.65054713 0.1193242 5.3414021 18.028251\n",
    )
    assert read_material(path).index(589.3e-9).real == pytest.approx(1.7682, abs=2e-4)


def test_formula_4_is_devores(tmp_path):
    # Rutile, ordinary ray: n^2 = 5.913 + 0.2441 / (w^2 - 0.0803) (Devore 1951).
    path = write(
        tmp_path,
        "  - type: formula 4\n    wavelength_range: 0.43 1.53\n"
        "    coefficients: 5.913 0.2441 0 0.0803 1 0 0 0 1\n",
    )
    expected = np.sqrt(5.913 + 0.2441 / (0.5893**2 - 0.0803))
    assert read_material(path).index(589.3e-9) == pytest.approx(expected, rel=1e-14)
    assert expected == pytest.approx(2.613, abs=2e-3)


def test_formula_4_with_two_poles_and_a_polynomial(tmp_path):
    path = write(
        tmp_path,
        "  - type: formula 4\n    wavelength_range: 0.4 2\n"
        "    coefficients: 2.1 0.3 2 0.1 2 0.02 0 0.05 1 0.01 2 -0.003 4\n",
    )
    w = 0.7
    square = 2.1 + 0.3 * w**2 / (w**2 - 0.01) + 0.02 / (w**2 - 0.05) + 0.01 * w**2 - 0.003 * w**4
    assert read_material(path).index(0.7e-6) == pytest.approx(np.sqrt(square), rel=1e-14)


def test_formula_5_is_cauchys(tmp_path):
    path = write(
        tmp_path,
        "  - type: formula 5\n    wavelength_range: 0.2 2.0\n"
        "    coefficients: 1.875 6.28e-3 -2 5.80e-4 -4\n",
    )
    index = read_material(path).index(np.array([500e-9, 1000e-9]))
    np.testing.assert_allclose(index, [1.875 + 0.02512 + 0.00928, 1.88186], rtol=1e-12)


def test_tables_are_linear_between_their_rows():
    # Two neighbouring rows of the file: 0.53046 2.03440 0 and 0.53205 2.03408 0.
    material = read_material(NITRIDE)
    assert material.index(530.46e-9) == pytest.approx(2.03440)
    assert material.index((530.46e-9 + 532.05e-9) / 2) == pytest.approx(2.03424)
    # 0.21140 2.52782 1.59962E-01: it absorbs, with the sign of exp(-i omega t).
    assert material.index(211.40e-9) == pytest.approx(2.52782 + 0.159962j)


def test_n_and_k_in_two_blocks_and_each_has_its_range(tmp_path):
    path = write(
        tmp_path,
        "  - type: formula 5\n    wavelength_range: 0.3 2.0\n    coefficients: 1.5\n"
        "  - type: tabulated k\n    data: |\n        0.4 0.1\n        0.6 0.3\n",
    )
    material = read_material(path)
    assert material.index(0.5e-6) == pytest.approx(1.5 + 0.2j)
    with pytest.raises(OpticsError, match="gives k from 400 to 600 nm, not at 700 nm"):
        material.index(0.7e-6)


@pytest.mark.parametrize("wavelength_nm", [211, 1689, 450e9, 0.45, float("nan")])
def test_outside_the_table_is_an_error_with_its_range(wavelength_nm):
    with pytest.raises(OpticsError, match=r"from 211\.4 to 1688\.16 nm, not at"):
        read_material(NITRIDE).index(np.array([500e-9, wavelength_nm * 1e-9]))


def test_the_ends_of_the_range_belong_to_it():
    read_material(NITRIDE).index(np.array([211.4 * 1e-9, 1688.16 * 1e-9]))


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ("  - type: formula 7\n    coefficients: 1\n", "formula 7.*allowed are"),
        ("  - type: tabulated nk\n    data: |\n        0.4 1.5\n", "rows of 3 numbers"),
        ("  - type: tabulated n\n    data: |\n        0.4 1.5\n        0.4 1.6\n", "rise"),
        ("  - type: tabulated n\n    data: |\n        0.4 high\n", "damaged"),
        ("  - type: tabulated n\n    data: |\n        0.4 nan\n", "damaged"),
        ("  - type: formula 1\n    coefficients: 0 1 0.1\n", "wavelength_range"),
        ("  - type: formula 1\n    wavelength_range: 0.2 2\n    coefficients: 0 1\n", "do not fit"),
        ("  - type: tabulated k\n    data: |\n        0.4 0\n        0.5 0\n", "gives k; allowed"),
    ],
)
def test_a_damaged_file_is_one_sentence(tmp_path, data, sentence):
    with pytest.raises(OpticsError, match=f"Some.yml.*{sentence}"):
        read_material(write(tmp_path, data))


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ("  - type: tabulated nk\n    data: 0.5\n", "rows of 3 numbers"),
        ("  - type: tabulated nk\n    data: [0.5, 2, 0]\n", "damaged"),
        ("  - type: tabulated nk\n    data:\n", "damaged"),
        ("  - type: tabulated nk\n    data: |\n        0.4 1 0\n        0.5 1\n", "rows of 3"),
        ("  - type: tabulated n\n    data: |\n        0.4 .inf\n", "damaged"),
        ("  - type: tabulated n\n", "lacks the key 'data'"),
        ("  - tabulated n\n", "holds a block without a type, 'tabulated n'; allowed"),
        ("  - formula 1\n", "holds a block without a type, 'formula 1'; allowed"),
        ("  - type: [1, 2]\n", "holds a block of type"),
        ("  - 5\n", "holds a block without a type, '5'"),
        ("  - type: formula 5\n    wavelength_range: 2 0.2\n    coefficients: 1\n", "no range"),
        ("  - type: formula 5\n    wavelength_range: 0.2\n    coefficients: 1\n", "no range"),
        ("  - type: formula 5\n    wavelength_range: 0 1\n    coefficients: 1\n", "no range"),
        ("  - type: formula 5\n    wavelength_range: 1 2\n    coefficients: nan\n", "finite"),
        ("  - type: formula 1\n    wavelength_range: 1 2\n    coefficients:\n", "damaged"),
        ("  - &a {type: x}\n  - *a\n", "anchor"),
        ("  - type: x\n    type: y\n", "stands twice"),
        ("  - type: !!python/object:os.system x\n", "tag"),
        ("  - date: 2024-13-45\n", "holds a block of type 'None'"),
    ],
)
def test_a_strange_file_is_one_sentence(tmp_path, data, sentence):
    with pytest.raises(OpticsError, match=f"Some.yml.*{sentence}") as caught:
        read_material(write(tmp_path, data))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "coefficients"),
    [
        ("formula 1", "0 1 0.5"),  # a pole at the wavelength
        ("formula 1", "-3 0 0.1"),  # the square of n is negative
        ("formula 1", "1e308 1e308 0.1"),
        ("formula 4", "1 1 0 0 -1"),  # zero to the power of -1
        ("formula 4", "1 1 0 -0.3 0.5"),  # a root of a negative number
        ("formula 4", "1 1 -1e300 0 0"),
        ("formula 5", "0"),
        ("formula 5", "1 1 -1e9"),
        ("formula 5", "-1.5"),
        ("formula 5", "150"),
    ],
)
def test_a_formula_without_an_index_is_one_sentence(tmp_path, kind, coefficients):
    data = f"  - type: {kind}\n    wavelength_range: 0.4 0.6\n    coefficients: {coefficients}\n"
    material = read_material(write(tmp_path, data))
    with pytest.raises(OpticsError, match=r"Some gives (an|no) index.* at 500 nm.* mend the file"):
        material.index(0.5e-6)


def test_gain_is_no_index(tmp_path):
    path = write(tmp_path, "  - type: tabulated nk\n    data: |\n        0.5 1.5 -0.1\n")
    with pytest.raises(OpticsError, match=r"1\.5-0\.1j"):
        read_material(path).index(0.5e-6)


def test_a_table_of_one_row_holds_at_its_wavelength(tmp_path):
    path = write(tmp_path, "  - type: tabulated nk\n    data: 0.5 1.5 0.1\n")
    assert read_material(path).index(0.5e-6) == pytest.approx(1.5 + 0.1j)
    with pytest.raises(OpticsError, match="from 500 to 500 nm, not at 501 nm"):
        read_material(path).index(0.501e-6)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(OpticsError, match="cannot read"):
        read_material(tmp_path / "missing.yml")
    (tmp_path / "a.yml").write_text("just: text")
    with pytest.raises(OpticsError, match="has no DATA"):
        read_material(tmp_path / "a.yml")
    (tmp_path / "b.yml").write_text("a: [1,")
    with pytest.raises(OpticsError, match="not valid YAML"):
        read_material(tmp_path / "b.yml")


def test_every_file_of_the_database_at_hand_reads():
    root = Path(__file__).resolve().parents[4] / "shared" / "data" / "refractive-index"
    files = sorted(root.rglob("*.yml"))
    if not files:
        pytest.skip(f"no refractive-index files in {root}")
    for file in files:
        material = read_material(file)
        low = max(block.shortest_m for block in material.blocks)
        high = min(block.longest_m for block in material.blocks)
        index = material.index(np.linspace(low, high, 50))
        assert np.isfinite(index).all(), file
        assert (index.real > 0).all(), file
        assert (index.imag >= 0).all(), file
