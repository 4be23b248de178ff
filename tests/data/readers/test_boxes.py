"""Boxes as files state them: faults in a sentence, and the same crop as their image's."""

import numpy as np
import pytest
import torch
from PIL import Image

from hybridonn.data.readers.boxes import (
    Box,
    find_box_fault,
    place_boxes,
    restore_boxes,
    stack_boxes,
)
from hybridonn.data.readers.image_files import Shape, Target, resize

SHAPE = Shape(30, 40, True)


@pytest.mark.parametrize(
    ("edges", "said"),
    [
        ((5, 5, 5, 9), "of zero size"),
        ((5, 9, 8, 9), "of zero size"),
        ((9, 5, 5, 9), "inverted"),
        ((5, 9, 9, 5), "inverted"),
        ((-1, 5, 9, 9), "beyond its image of 40 x 30 pixels"),
        ((5, 5, 41, 9), "beyond its image"),
        ((5, 5, 9, 31), "beyond its image"),
        ((5, 5, float("nan"), 9), "finite"),
        ((5, 5, float("inf"), 9), "finite"),
    ],
)
def test_a_fault_names_the_object(edges, said):
    left, top, right, bottom = edges
    boxes = [Box(0, 1, 1, 9, 9, "a.xml, object 1")]
    boxes.append(Box(0, left, top, right, bottom, "a.xml, object 2"))
    fault = find_box_fault(boxes, SHAPE)
    assert fault is not None
    assert fault.startswith("a.xml, object 2")
    assert said in fault


def test_boxes_up_to_the_edges_are_sound():
    assert find_box_fault([Box(0, 0, 0, 40, 30, "a")], SHAPE) is None
    assert find_box_fault([], SHAPE) is None


def test_boxes_of_an_image_that_says_it_is_turned_are_refused():
    fault = find_box_fault([Box(0, 0, 0, 4, 3, "a")], Shape(30, 40, True, turned="upside down"))
    assert fault is not None
    assert "upside down" in fault


@pytest.mark.parametrize("kind", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("size", [(60, 60), (15, 40), (30, 40), (90, 60)])
def test_a_box_lies_about_its_object_once_the_image_has_its_size(kind, size):
    pixels = np.zeros((30, 40), np.uint8)
    pixels[10:22, 14:26] = 255
    target = Target(*size, grey=True, resize=kind)
    lit = np.asarray(resize(Image.fromarray(pixels), target, smooth=True)) > 127
    (row,) = place_boxes([Box(1, 14, 10, 26, 22, "a")], SHAPE, target)
    rows, columns = np.flatnonzero(lit.any(1)), np.flatnonzero(lit.any(0))
    expected = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
    assert row[1:5] == pytest.approx(expected, abs=1.01)
    assert (row[0], row[5]) == (1, 1)
    back = restore_boxes(torch.tensor([row]), SHAPE, target)
    assert back[0].tolist() == pytest.approx([1, 14, 10, 26, 22, 1], abs=1e-4)


def test_a_box_beyond_the_stored_image_is_cut():
    target = Target(60, 60, grey=True, resize="pad")
    found = restore_boxes(torch.tensor([[0.0, -3, 0, 99, 60, 0.5]]), SHAPE, target)
    assert found[0].tolist() == pytest.approx([0, 0, 0, 40, 30, 0.5])


def test_what_a_crop_cuts_away_is_no_box():
    target = Target(30, 20, grey=True, resize="crop")
    boxes = [Box(0, 0, 0, 9, 9, "a"), Box(0, 15, 0, 25, 9, "b"), Box(0, 8, 0, 14, 9, "c")]
    found = place_boxes(boxes, SHAPE, target)
    assert [row[1:5] for row in found] == [[5, 0, 15, 9], [0, 0, 4, 9]]


def test_images_of_any_number_of_boxes_are_stacked():
    rows = [[[0, 1, 1, 2, 2, 1], [1, 1, 1, 2, 2, 1]], []]
    stacked = stack_boxes(rows)
    assert stacked.shape == (2, 2, 6)
    assert stacked.dtype == torch.float32
    assert stacked[..., 0].tolist() == [[0, 1], [-1, -1]]
    assert stack_boxes([[], []]).shape == (2, 1, 6)
