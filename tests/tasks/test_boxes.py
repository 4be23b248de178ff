"""Boxes: overlaps by hand, cuts, suppression."""

import pytest
import torch

from hybridonn.tasks.boxes import (
    bound_points,
    cut_boxes,
    find_present,
    generalised_overlap,
    list_corners,
    overlap_pairs,
    pad_boxes,
    suppress,
)


def box(kind, left, top, right, bottom, score=1.0):
    return [float(kind), left, top, right, bottom, score]


def test_overlaps_by_hand():
    first = torch.tensor([[0.0, 0, 4, 4], [10, 10, 12, 14]])
    second = torch.tensor([[2.0, 0, 6, 4], [0, 0, 4, 4], [20, 20, 21, 21]])
    expected = torch.tensor([[8 / 24, 1, 0], [0, 0, 0]])
    torch.testing.assert_close(overlap_pairs(first, second), expected)


def test_the_generalised_overlap_of_boxes_apart_falls_with_their_distance():
    one, other = torch.tensor([0.0, 0, 1, 1]), torch.tensor([3.0, 0, 4, 1])
    assert float(generalised_overlap(one, other)) == pytest.approx(-2 / 4)
    assert float(generalised_overlap(one, one)) == pytest.approx(1)


def test_boxes_are_cut_at_the_edges_and_dropped_where_most_is_gone():
    rows = torch.tensor(
        [box(1, -2, 2, 6, 5), box(0, -8, 2, 2, 5), box(0, 30, 2, 40, 5), box(-1, 0, 0, 0, 0)]
    )
    cut = cut_boxes(rows, 10, 20)
    assert cut[0].tolist() == box(1, 0, 2, 6, 5)
    assert find_present(cut).tolist() == [True, False, False, False]


def test_corners_are_bounded_by_their_box():
    edges = torch.tensor([[1.0, 2, 5, 9], [0, 0, 1, 1]])
    assert torch.equal(bound_points(list_corners(edges)), edges)


def test_rows_without_a_box_are_added():
    padded = pad_boxes(torch.tensor([box(2, 1, 1, 2, 2)]), 3)
    assert find_present(padded).tolist() == [True, False, False]


def test_of_overlapping_boxes_of_a_class_the_best_stays():
    rows = torch.tensor(
        [
            box(0, 0, 0, 10, 10, 0.9),
            box(0, 1, 0, 11, 10, 0.8),  # goes, by the first
            box(1, 1, 0, 11, 10, 0.7),  # of another class
            box(0, 2.6, 0, 12.6, 10, 0.6),  # overlaps the second, which is gone, but not the first
            box(0, 50, 50, 60, 60, 0.5),
        ]
    )
    assert suppress(rows, 0.6)[:, 5].tolist() == pytest.approx([0.9, 0.7, 0.6, 0.5])
