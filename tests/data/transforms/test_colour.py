import pytest
import torch
from PIL import Image

from hybridonn.data.transforms.colour import luma, recolour
from hybridonn.spec import Augmentation


def by_the_book(scene, bright, contrast, saturation):
    """Each of the three changes by itself, one after the other."""
    scene = bright * scene
    mean = luma(scene).mean((2, 3), keepdim=True)
    scene = mean + contrast * (scene - mean)
    grey = luma(scene)
    return (grey + saturation * (scene - grey)).clamp(0, 1)


@pytest.mark.parametrize("channels", [1, 3])
def test_one_step_is_the_three_in_turn(channels):
    scene = torch.rand(16, channels, 9, 7, dtype=torch.float64)
    settings = Augmentation(brightness=0.4, contrast=0.5, saturation=0.8)
    found = recolour(scene, settings, torch.Generator().manual_seed(2))
    drawn = 2 * torch.rand(3, 16, 1, 1, 1, generator=torch.Generator().manual_seed(2)) - 1
    spread = torch.tensor([0.4, 0.5, 0.8]).view(3, 1, 1, 1, 1)
    expected = by_the_book(scene, *(1 + drawn * spread).double())
    torch.testing.assert_close(found, expected)
    assert found.min() >= 0
    assert found.max() <= 1
    assert not torch.allclose(found, scene)


def test_grey_is_the_grey_of_pillow():
    values = torch.randint(0, 256, (20, 30, 3), dtype=torch.uint8)
    grey = torch.tensor(list(Image.fromarray(values.numpy()).convert("L").tobytes()))
    ours = luma(values.permute(2, 0, 1)[None].float())[0, 0]
    assert (ours.flatten() - grey).abs().max() < 1.01


def test_saturation_does_nothing_to_grey_pictures():
    scene = torch.rand(4, 1, 5, 5)
    settings = Augmentation(saturation=0.9)
    changed = recolour(scene, settings, torch.Generator().manual_seed(0))
    torch.testing.assert_close(changed, scene)


def test_nothing_asked_for_draws_nothing():
    generator = torch.Generator().manual_seed(3)
    before = generator.get_state()
    scene = torch.rand(2, 3, 5, 6)
    assert recolour(scene, Augmentation(flip=True), generator) is scene
    assert torch.equal(generator.get_state(), before)
