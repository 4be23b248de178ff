"""Average precision: of an image, and of a set against a reference in plain loops."""

import numpy as np
import pytest
import torch

from hybridonn.tasks.average_precision import measure_precision, score_images, share_matched
from hybridonn.tasks.boxes import pad_boxes

BOX = [0.0, 10, 10, 30, 30, 1.0]


def draw(seed, images=6, classes=2, side=150.0):
    """True boxes, and boxes that are found near some of them and at random places."""
    dice = np.random.default_rng(seed)
    truth, found = [], []
    for _ in range(images):
        count = dice.integers(0, 9)
        low, size = dice.uniform(0, side, (count, 2)), dice.uniform(4, 110, (count, 2))
        kinds = dice.integers(0, classes, count)
        real = np.column_stack([kinds, low, low + size, np.ones(count)])
        near = real.copy()
        near[:, 1:5] += dice.normal(0, 0.08, (count, 4)) * np.tile(size, 2)
        wild = real[: count // 2].copy()
        wild[:, 1:5] += 40
        said = np.concatenate([near[dice.random(count) < 0.8], wild])
        said[:, 5] = dice.permutation(len(said)) / 10 + dice.random(len(said)) / 100
        said = said[np.argsort(-said[:, 5])]
        truth.append(pad_boxes(torch.from_numpy(real).float(), 12))
        found.append(pad_boxes(torch.from_numpy(said).float(), 20))
    return torch.stack(found), torch.stack(truth)


def overlap(one, other):
    across = max(0, min(one[3], other[3]) - max(one[1], other[1]))
    down = max(0, min(one[4], other[4]) - max(one[2], other[2]))
    areas = [(box[3] - box[1]) * (box[4] - box[2]) for box in (one, other)]
    return across * down / (sum(areas) - across * down)


def reference(found, truth, classes, limits, least=0.0, most=1e10):
    """COCO's AP in plain loops; objects of other sizes are neither hits nor misses."""
    values = []
    for limit in limits:
        for kind in range(classes):
            events, count = [], 0
            for said, real in zip(found.tolist(), truth.tolist(), strict=True):
                real = [box for box in real if box[0] == kind]
                size = [(box[3] - box[1]) * (box[4] - box[2]) for box in real]
                counts = [least <= area <= most for area in size]
                count += sum(counts)
                free = set(range(len(real)))
                for box in sorted((b for b in said if b[0] == kind), key=lambda b: -b[5]):
                    close = [k for k in free if overlap(box, real[k]) >= limit]
                    best = max(
                        close, key=lambda k: (counts[k], overlap(box, real[k])), default=None
                    )
                    area = (box[3] - box[1]) * (box[4] - box[2])
                    if best is not None:
                        free.discard(best)
                    if counts[best] if best is not None else least <= area <= most:
                        events.append((box[5], best is not None))
            if not count:
                continue
            events.sort(key=lambda event: -event[0])
            curve, hits = [], 0
            for number, (_, hit) in enumerate(events, 1):
                hits += hit
                curve.append((hits / count, hits / number))
            values.append(
                np.mean(
                    [
                        max((p for r, p in curve if r >= recall), default=0)
                        for recall in np.linspace(0, 1, 101)
                    ]
                )
            )
    return float(np.mean(values)) if values else None


@pytest.mark.parametrize("seed", range(3))
def test_numbers_of_a_set_are_those_of_plain_loops(seed):
    found, truth = draw(seed)
    numbers = measure_precision(found, truth, 2)
    limits = np.linspace(0.5, 0.95, 10)
    expected = {
        "ap50": reference(found, truth, 2, [0.5]),
        "ap": reference(found, truth, 2, limits),
        "ap_small": reference(found, truth, 2, limits, 0, 32**2),
        "ap_medium": reference(found, truth, 2, limits, 32**2, 96**2),
        "ap_large": reference(found, truth, 2, limits, 96**2),
    }
    expected = {name: value for name, value in expected.items() if value is not None}
    assert numbers == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_the_score_of_an_image_is_the_reference_of_it_alone(seed):
    found, truth = draw(seed)
    scores = score_images(found, truth, 2)
    for score, said, real in zip(scores.tolist(), found, truth, strict=True):
        shown = [box for box in said if box[5] >= 0.3]
        kinds = sorted({int(box[0]) for box in (*shown, *real) if box[0] >= 0})
        values = []
        for kind in kinds:
            found_kind, real_kind = (
                torch.where(boxes[:, :1] == kind, boxes, -1.0)[None] for boxes in (said, real)
            )
            values.append(reference(found_kind, real_kind, 2, [0.5]) or 0.0)
        assert score == pytest.approx(np.mean(values) if values else 1.0, abs=1e-6)


def test_a_second_box_about_an_object_is_a_miss():
    truth = torch.tensor([[BOX]])
    twice = torch.tensor([[BOX, [*BOX[:5], 0.5]]])
    assert score_images(twice, truth, 1).tolist() == [1.0]  # at full recall already
    missed = torch.tensor([[[0.0, 90, 90, 99, 99, 1], [*BOX[:5], 0.5]]])
    assert score_images(missed, truth, 1).tolist() == pytest.approx([0.5])


def test_images_without_boxes():
    nothing, something = pad_boxes(torch.zeros(0, 6), 1)[None], torch.tensor([[BOX]])
    assert score_images(nothing, nothing, 1).tolist() == [1.0]
    assert score_images(something, nothing, 1).tolist() == [0.0]
    assert score_images(nothing, something, 1).tolist() == [0.0]
    assert measure_precision(nothing, nothing, 1) == measure_precision(something, nothing, 1) == {}
    assert measure_precision(nothing, something, 1)["ap50"] == 0.0


@pytest.mark.parametrize(("score", "expected"), [(0.29, 1.0), (0.3, 0.5)])
def test_a_class_that_is_not_there_counts_where_a_box_of_it_is_shown(score, expected):
    truth, wrong = torch.tensor([[BOX]]), [1.0, 60, 60, 80, 80, score]
    found = torch.tensor([[[*BOX[:5], 0.2], wrong]])
    assert score_images(found, truth, 2).tolist() == [expected]
    nothing = pad_boxes(torch.zeros(0, 6), 1)[None]
    assert score_images(torch.tensor([[wrong]]), nothing, 2).tolist() == [2 * expected - 1]


def test_more_boxes_than_coco_counts_are_found():
    places = torch.arange(300.0)
    left, top = places % 20 * 10, places // 20 * 10
    edges = (left, top, left + 8, top + 8)
    boxes = torch.stack([places * 0, *edges, 1 - places / 1000], -1)[None]
    assert measure_precision(boxes, boxes, 1)["ap50"] == pytest.approx(1)


def test_boxes_of_two_networks_agree_by_class_and_overlap():
    box, other = torch.tensor(BOX), torch.tensor([BOX[0] + 1, *BOX[1:]])
    faint = torch.cat([box[:5], torch.tensor([0.1])])
    nothing = pad_boxes(torch.zeros(0, 6), 1)
    moved = box + torch.tensor([0, 1e-3, 0, 0, 0, -0.2])
    for first, second, share in (
        (box[None], moved[None], 1.0),
        (box[None], other[None], 0.0),
        (torch.stack([box, other]), box[None], 2 / 3),
        (box[None], nothing, 0.0),
        (faint[None], nothing, 1.0),
    ):
        assert share_matched(first[None], second[None]) == pytest.approx(share)
