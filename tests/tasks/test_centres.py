"""Outputs of a detector: targets, losses against numbers by hand, decoding."""

import math

import pytest
import torch

from hybridonn.tasks.boxes import find_present, pad_boxes
from hybridonn.tasks.centres import decode, draw_targets, focal_loss, place_cells, read_boxes

TRUTH = torch.tensor([[1.0, 4, 8, 20, 16, 1], [0.0, 40, 0, 64, 30, 1]])


def outputs_of(boxes, classes, height, width):
    """Outputs that state these boxes at every cell near their centres."""
    targets = draw_targets(boxes, classes, height, width)
    cells = place_cells(height, width, boxes.device)
    near = torch.cat([cells - targets.boxes[..., :2], targets.boxes[..., 2:] - cells], -1)
    logs = (near / 4).clamp_min(1e-3).log().permute(2, 0, 1)
    return torch.cat([torch.logit(targets.heat.clamp(1e-4, 1 - 1e-4)), logs])[None]


def test_the_heat_is_one_at_the_centre_of_each_object_and_nowhere_else():
    heat = draw_targets(pad_boxes(TRUTH, 5), 2, 16, 24).heat
    assert heat[1, 3, 3] == 1
    assert heat[0, 3, 13] == 1
    assert (heat == 1).sum() == 2


def test_each_object_has_the_same_weight_and_its_own_box():
    targets = draw_targets(TRUTH, 2, 16, 24)
    assert float(targets.weights.sum()) == pytest.approx(2)
    assert targets.boxes[3, 3].tolist() == TRUTH[0, 1:5].tolist()
    assert targets.count == 2


def test_a_small_object_within_a_large_one_owns_its_cells():
    rows = torch.tensor([[0.0, 0, 0, 64, 64, 1], [0.0, 26, 26, 38, 38, 1]])
    assert draw_targets(rows, 1, 16, 16).boxes[8, 8].tolist() == [26, 26, 38, 38]


def test_an_image_without_boxes_has_no_object():
    targets = draw_targets(pad_boxes(TRUTH[:0], 3), 2, 16, 24)
    assert targets.count == 0
    assert not targets.heat.any()
    assert not targets.weights.any()


def test_the_focal_loss_by_hand():
    logits, heat = torch.tensor([[0.0, 2.0]]), torch.tensor([[1.0, 0.5]])
    chance = 1 / (1 + math.exp(-2))
    expected = 0.25 * math.log(2) - 0.5**4 * chance**2 * math.log(1 - chance)
    assert float(focal_loss(logits, heat)) == pytest.approx(expected)


def test_smoothing_costs_certainty():
    logits, heat = torch.tensor([[9.0]]), torch.tensor([[0.0]])
    assert focal_loss(-logits, heat, 0.2) > focal_loss(-logits, heat)


def test_distances_are_exponentials_in_cells():
    outputs = torch.zeros(1, 5, 2, 3)
    outputs[0, 1:, 1, 2] = torch.tensor([0.0, math.log(2), 0.0, 0.0])
    assert read_boxes(outputs)[0, 1, 2].tolist() == pytest.approx([6, -2, 14, 10])


def test_outputs_of_true_boxes_are_read_as_these_boxes():
    found = decode(outputs_of(TRUTH, 2, 16, 24))[0]
    found = found[find_present(found) & (found[:, 5] > 0.5)]
    torch.testing.assert_close(found.sort(0)[0], TRUTH.sort(0)[0], atol=1e-2, rtol=0)


def test_boxes_end_at_the_edges_of_the_image():
    outputs = torch.full((1, 5, 4, 6), 2.0)
    outputs[:, :1] = torch.rand(1, 1, 4, 6)
    found = decode(outputs)[0]
    found = found[find_present(found)]
    assert len(found)
    assert (found[:, 1:5] >= 0).all()
    assert (found[:, 1:5] <= torch.tensor([24, 16, 24, 16])).all()
