"""Pixels that are sampled of labels: how many lie near borders, and where they lie elsewhere."""

import pytest
import torch

from hybridonn.tasks.pixels import SampledPixels, find_borders, sample_near_borders


def halves(height=16, width=24):
    """Masks with one vertical border behind column 12."""
    labels = torch.zeros(3, height, width, dtype=torch.uint8)
    labels[:, :, 12:] = 1
    return labels


def test_borders_reach_two_pixels_to_both_sides():
    assert find_borders(halves())[0].any(0).nonzero().flatten().tolist() == [10, 11, 12, 13]
    assert not find_borders(torch.ones(1, 8, 8)).any()


def test_half_of_the_pixels_lie_near_borders_and_none_twice():
    torch.manual_seed(0)
    found = sample_near_borders(halves(), 40)
    assert found.size == (16, 24)
    near = find_borders(halves()).flatten(1).gather(1, found.places)
    assert near[:, :20].all()
    assert not near[:, 20:].all()
    assert all(len(set(row.tolist())) == 40 for row in found.places)
    assert not torch.equal(found.places[0], found.places[1])


def test_the_random_state_decides():
    def draw(seed):
        torch.manual_seed(seed)
        return sample_near_borders(halves(), 6).places

    assert torch.equal(draw(3), draw(3))
    assert not torch.equal(draw(3), draw(4))


@pytest.mark.parametrize("labels", [torch.zeros(2, 4, 4), torch.eye(4)[None].repeat(2, 1, 1)])
def test_images_with_few_borders_or_few_pixels_give_what_they_have(labels):
    assert sample_near_borders(labels, 9).places.shape == (2, 9)
    places = sample_near_borders(labels, 99).places
    assert torch.equal(places.sort(1).values, torch.arange(16).repeat(2, 1))


def test_pixels_of_another_size_lie_where_they_did():
    found = SampledPixels(torch.tensor([[0, 5, 10, 15]]), (4, 4))  # the diagonal
    assert found.on((4, 4)).tolist() == [[0, 5, 10, 15]]
    assert found.on((2, 2)).tolist() == [[0, 0, 3, 3]]
    assert found.on((8, 8)).tolist() == [[9, 27, 45, 63]]
    assert found.on((2, 4)).tolist() == [[0, 1, 6, 7]]
