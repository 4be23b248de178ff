import pytest
import torch

from hybridonn.core.errors import OpticsError
from hybridonn.optics.meta_atoms.pillars import PillarLibrary

NOTES = "# period_nm: 300\n# height_nm: 600\n"
COMPLEX = "width_nm,wavelength_nm,real,imag\n"


def write(folder, text):
    path = folder / "other.csv"
    path.write_text(text)
    return path


def test_another_solvers_table_in_either_form_and_any_order(tmp_path):
    polar = write(
        tmp_path,
        NOTES + "phase_rad,extra,width_nm,amplitude,wavelength_nm\n\n"
        "0,x,100,1,500\n3.141592653589793,x,80,0.5,500\n1.5707963267948966,x,80,1,600\n0,,100,1,600\n",
    )
    library = PillarLibrary.read_csv(polar)
    expected = torch.tensor([[-0.5, 1], [1j, 1]], dtype=torch.complex128)
    torch.testing.assert_close(library.transmission, expected, atol=1e-12, rtol=0)
    assert library.period_m == pytest.approx(300e-9)
    assert library.height_m == pytest.approx(600e-9)
    rows = "80,500,-0.5,0\n80,600,0,1\n100,500,1,0\n100,600,1,0\n"
    again = PillarLibrary.read_csv(write(tmp_path, NOTES + COMPLEX + rows))
    torch.testing.assert_close(again.transmission, library.transmission, atol=1e-12, rtol=0)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (NOTES + COMPLEX + "80,500,1,0\n90,500,1,0\n80,600,1,0\n", "1 holes.* 90 nm at 600 nm"),
        (NOTES + COMPLEX + "80,500,1,0\n80,500,1,0\n", "line 5 holds the width 80 nm at 500 nm tw"),
        (NOTES + COMPLEX + "80,500,1,0\n-80,500,1,0\n", "line 5: width_nm is '-80'; .* not negat"),
        (NOTES + COMPLEX + "80,500,1,0\nnan,500,1,0\n", "line 5: width_nm is 'nan'"),
        (NOTES + COMPLEX + "80,500,1\n", "line 4: imag is ''"),
        (NOTES + COMPLEX + "80,500,one,0\n", "line 4: real is 'one'"),
        (NOTES + "width_nm,real,imag\n80,1,0\n", "columns width_nm, real, imag; a library needs"),
        (NOTES, r"columns \(none\)"),
        (COMPLEX + "80,500,1,0\n90,500,1,0\n", "add the line '# period_nm: VALUE'"),
        ("# period_nm: wide\n# height_nm: 1\n" + COMPLEX + "80,500,1,0\n", "period_nm: wide; it"),
        (NOTES + COMPLEX + "80,500,1.2,0\n90,500,1,0\n", r"amplitude 1\.2000"),
        (NOTES + COMPLEX + "80,500,1,0\n301,500,1,0\n", "301 nm wide touch at a period of 300"),
    ],
)
def test_a_damaged_table_is_one_sentence_that_names_the_file(tmp_path, text, sentence):
    with pytest.raises(OpticsError, match=f"other.csv.*{sentence}"):
        PillarLibrary.read_csv(write(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "# period_nm: 300\n# period_nm: 310\n# height_nm: 600\n" + COMPLEX,
            "twice: '300' and '310'",
        ),
        (NOTES + "width_nm,wavelength_nm,real,imag,real\n80,500,1,0,0\n", "column 'real' twice"),
        (NOTES + COMPLEX + f"80,500,1,{'9' * 100_000}x\n", r"line 4: imag is '999.*\.\.\.'"),
        (NOTES + COMPLEX + f'80,500,1,"{"x" * 200_000}"\n', "line 4 is no row of a CSV"),
        (NOTES + COMPLEX + '80,500,1,"0\n90,500,1,0\n', "line 4 is no row"),
        (NOTES + COMPLEX + "80,0.5,1,0\n90,0.5,1,0\n", "0.5 nm; all must lie .* in nanometres"),
        (NOTES + COMPLEX + "80,1e22,1,0\n90,1e22,1,0\n", "in nanometres"),
        (
            "# period_nm: 0.3\n# height_nm: 600\n" + COMPLEX + "0.1,500,1,0\n0.2,500,1,0\n",
            "every 0.3",
        ),
        (
            "# period_nm: 300\n# height_nm: 1e22\n" + COMPLEX + "80,500,1,0\n90,500,1,0\n",
            "1e.22 nm hi",
        ),
        (
            "# period_nm: inf\n# height_nm: 600\n" + COMPLEX + "80,500,1,0\n90,500,1,0\n",
            "every inf",
        ),
        ("# substrate_index: nan\n" + NOTES + COMPLEX + "80,500,1,0\n90,500,1,0\n", "index nan"),
        (
            f"# source: {'x' * 200_000}\n# height_nm: {'7' * 99}x\n" + COMPLEX + "8,5,1,0\n",
            "period",
        ),
    ],
)
def test_a_strange_table_is_one_short_sentence(tmp_path, text, sentence):
    with pytest.raises(OpticsError, match=f"other.csv.*({sentence})") as caught:
        PillarLibrary.read_csv(write(tmp_path, text))
    assert len(str(caught.value)) < 500
    assert "\n" not in str(caught.value)


def test_a_table_of_holes_is_refused_in_no_time(tmp_path):
    # 20,000 rows, each with a width and a wavelength of its own: 4e8 holes.
    rows = "".join(f"{80 + i / 1000},{500 + i / 1000},1,0\n" for i in range(20_000))
    with pytest.raises(OpticsError, match="has 399980000 holes"):
        PillarLibrary.read_csv(write(tmp_path, NOTES + COMPLEX + rows))


def test_no_file_and_no_text(tmp_path):
    with pytest.raises(OpticsError, match="cannot read the library"):
        PillarLibrary.read_csv(tmp_path / "missing.csv")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(OpticsError, match="is not text"):
        PillarLibrary.read_csv(tmp_path / "binary.csv")
