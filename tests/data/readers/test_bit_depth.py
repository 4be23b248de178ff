from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError

from hybridonn.core.errors import DataError
from hybridonn.core.progress import Silent
from hybridonn.data.load import load_unsplit
from hybridonn.data.readers.bit_depth import DEPTHS, find_bit_depth
from hybridonn.data.survey import survey_data
from hybridonn.spec import Data


class Said(Silent):
    def __init__(self):
        self.lines = []

    def say(self, line):
        self.lines.append(line)


@given(st.lists(st.integers(0, 65535), min_size=1), st.none() | st.integers(8, 16))
def test_white_is_never_below_a_value(values, stated):
    used = {Path(str(k)): value for k, value in enumerate(values)}
    try:
        found = find_bit_depth(used, stated)
    except DataError:
        assert stated is not None
        assert max(values) >= 2**stated
        return
    assert max(values) < 2**found.bits
    if stated is not None:
        assert found.bits in (stated, 16)  # 16: they lie in the upper bits
    elif found.bits > 8:  # no smaller usual depth would do
        assert max(values) >= 2 ** DEPTHS[DEPTHS.index(found.bits) - 1] or found.bits == 16


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize("ending", ["png", "tif"])
def test_a_camera_of_fewer_bits(tmp_path, bits, left, ending):
    values = [np.random.default_rng(k).integers(0, 2**bits, (6, 8)) for k in range(6)]
    for value in values:
        value[0, 0] = 2**bits - 1
    for k, value in enumerate(values):
        path = tmp_path / "set" / "ab"[k % 2] / f"{k}.{ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((value << (16 - bits if left else 0)).astype(np.uint16)).save(path)
    data = Data(name="image_folder", folder=tmp_path / "set")
    for stated in (None, bits):
        shown = Said()
        unsplit = load_unsplit(data.model_copy(update={"bit_depth": stated}), progress=shown)
        expected = np.stack([values[k] >> (bits - 8) for k in (0, 2, 4, 1, 3, 5)])
        np.testing.assert_array_equal(unsplit.images.images[:, 0].numpy(), expected)
        assert shown.lines == [f"set: {remark}" for remark in unsplit.remarks]
        white = 65535 if left else 2**bits - 1
        assert (f"{white:,} is white" in shown.lines[0]) or left
    survey, _ = survey_data(data, None, Silent())
    assert "6 images lie in files of 16 bits" in survey.remarks[0]


def test_what_contradicts_the_statement_is_named(tmp_path, pictures):
    pictures.classes(tmp_path, count=3, mode="L")
    with pytest.raises(DataError, match=r"data.bit_depth is 12, but no image of .* with 16 bits"):
        load_unsplit(Data(name="image_folder", folder=tmp_path, bit_depth=12))
    for k in range(3):
        for name in "ab":
            values = np.full((6, 8), 4095 if k else 4097 - 2 * (name == "a"), np.uint16)
            Image.fromarray(values).save(tmp_path / name / f"{k}.png")
    with pytest.raises(DataError, match=r"b/0.png holds values above 4,095, .*data.bit_depth: 12"):
        load_unsplit(Data(name="image_folder", folder=tmp_path, bit_depth=12))
    with pytest.raises(ValidationError, match="bit_depth is 12 with name: digits"):
        Data(bit_depth=12)


def test_a_damaged_file_is_left_out_of_the_depth(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        for k in range(4):
            Image.fromarray(np.full((60, 80), 900 + k, np.uint16)).save(
                tmp_path / name / f"{k}.png"
            )
    path = tmp_path / "a" / "1.png"
    path.write_bytes(path.read_bytes()[:60])
    unsplit = load_unsplit(Data(name="image_folder", folder=tmp_path, skip_bad=True))
    assert len(unsplit.images) == 7
    assert len(unsplit.skipped) == 1
    assert unsplit.images.images[0, 0, 0, 0] == 900 >> 2


def test_a_size_that_no_memory_holds(tmp_path, pictures):
    pictures.classes(tmp_path)
    with pytest.raises(DataError, match=r"data.size_pixels: \[30000, 30000\] has 30,000 x 30,000"):
        load_unsplit(Data(name="image_folder", folder=tmp_path, size_pixels=30000))
