import numpy as np
import pytest
import torch

from hybridonn.core.errors import DataError
from hybridonn.data.batches import augment
from hybridonn.data.transforms.crop import crop
from hybridonn.spec import Augmentation
from hybridonn.tasks.classification import Classification
from hybridonn.tasks.segmentation import Segmentation

NUMBERED = torch.arange(7 * 9, dtype=torch.float64).view(1, 1, 7, 9) + 1


def windows(settings: Augmentation) -> dict[bytes, tuple[int, int, bool]]:
    """Every image that may come out, cut by numpy from the padded one."""
    edge = settings.crop_pixels
    mode = {"dark": "constant", "reflect": "reflect"}[settings.crop_edge]
    padded = np.pad(NUMBERED[0, 0].numpy(), edge, mode)
    found = {}
    for down in range(2 * edge + 1):
        for right in range(2 * edge + 1):
            window = padded[down : down + 7, right : right + 9]
            found[window.tobytes()] = (down, right, False)
            if settings.flip:
                found[window[:, ::-1].tobytes()] = (down, right, True)
    return found


@pytest.mark.parametrize("edge", ["dark", "reflect"])
@pytest.mark.parametrize(("pixels", "flip"), [(0, True), (2, False), (3, True)])
def test_every_window_comes_out_equally_often(edge, pixels, flip):
    settings = Augmentation(crop_pixels=pixels, flip=flip, crop_edge=edge)
    allowed = windows(settings)
    count = 400 * len(allowed)
    generator = torch.Generator().manual_seed(0)
    images, labels = crop(
        NUMBERED.expand(count, 1, 7, 9), torch.zeros(count), Classification(), settings, generator
    )
    assert torch.equal(labels, torch.zeros(count))
    drawn = [allowed[image.tobytes()] for image in images[:, 0].numpy()]
    counts = np.array([drawn.count(place) for place in set(allowed.values())])
    assert len(set(drawn)) == len(allowed)
    # Binomial counts of mean 400: within 6 standard deviations.
    assert abs(counts - 400).max() < 6 * 20


def test_masks_and_channels_move_together():
    settings = Augmentation(crop_pixels=2, flip=True)
    images = torch.randint(0, 256, (50, 3, 8, 5), dtype=torch.uint8)
    moved, masks = crop(
        images, images[:, 1], Segmentation(), settings, torch.Generator().manual_seed(3)
    )
    assert moved.dtype == masks.dtype == torch.uint8
    assert torch.equal(moved[:, 1], masks)
    alone, _ = crop(
        images[:, :1], images[:, 1], Segmentation(), settings, torch.Generator().manual_seed(3)
    )
    assert torch.equal(alone[:, 0], moved[:, 0])


def test_nothing_asked_for_draws_nothing():
    generator = torch.Generator().manual_seed(3)
    before = generator.get_state()
    images, labels = torch.rand(2, 3, 5, 6), torch.arange(2)
    found = crop(images, labels, Classification(), Augmentation(crop_edge="reflect"), generator)
    assert found[0] is images
    assert found[1] is labels
    assert torch.equal(generator.get_state(), before)


def test_a_reflected_crop_must_be_smaller_than_the_picture():
    scene = torch.rand(2, 1, 4, 9)
    settings = Augmentation(crop_pixels=4, crop_edge="reflect")
    with pytest.raises(DataError, match=r"crop_pixels is 4 for images of 4 x 9 .* crop_edge"):
        augment(scene, settings, torch.Generator())
    assert augment(scene, Augmentation(crop_pixels=3, crop_edge="reflect"), torch.Generator()).shape
    assert augment(scene, Augmentation(crop_pixels=9), torch.Generator()).shape == scene.shape
