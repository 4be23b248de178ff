import pytest
import torch

from hybridonn.errors import OpticsError
from hybridonn.optics.pillars import PillarLibrary

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
        (NOTES + COMPLEX + "80,500,1\n", "line 4: imag is None"),
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


def test_no_file_and_no_text(tmp_path):
    with pytest.raises(OpticsError, match="cannot read the library"):
        PillarLibrary.read_csv(tmp_path / "missing.csv")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(OpticsError, match="is not text"):
        PillarLibrary.read_csv(tmp_path / "binary.csv")
