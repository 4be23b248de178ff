import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps

from hybridonn.data.batches import augment, load_batch
from hybridonn.data.dataset import ImageSet
from hybridonn.data.transforms import randaugment as module
from hybridonn.data.transforms.randaugment import COLOURS, GEOMETRY, randaugment
from hybridonn.spec import Augmentation
from hybridonn.tasks.classification import Classification
from hybridonn.tasks.segmentation import Segmentation


def picture(channels=3, size=(12, 10)):
    return torch.from_numpy(np.random.default_rng(0).integers(30, 220, (channels, *size), np.uint8))


def to_pil(image):
    array = image.permute(1, 2, 0).numpy()
    return Image.fromarray(array if len(image) == 3 else array[..., 0])


PART = 0.6
PIL = {
    "_brighten": lambda image: ImageEnhance.Brightness(image).enhance(1 + 0.9 * PART),
    "_saturate": lambda image: ImageEnhance.Color(image).enhance(1 + 0.9 * PART),
    "_contrast": lambda image: ImageEnhance.Contrast(image).enhance(1 + 0.9 * PART),
    "_sharpen": lambda image: ImageEnhance.Sharpness(image).enhance(1 + 0.9 * PART),
    "_posterise": lambda image: ImageOps.posterize(image, 8 - 2),
    "_solarise": lambda image: ImageOps.solarize(image, 102),
    "_stretch": ImageOps.autocontrast,
    "_keep": lambda image: image,
}


@pytest.mark.parametrize("name", PIL)
def test_a_change_of_values_is_pillows(name):
    image = picture()
    scene = image[None] / 255
    found = getattr(module, name)(scene, torch.ones(1, 1, 1, 1), PART)[0] * 255
    wanted = torch.from_numpy(np.array(PIL[name](to_pil(image)))).permute(2, 0, 1)
    assert (found - wanted).abs().max() < 2.1  # Pillow rounds greys and means to whole levels


def test_equalised_values_are_spread_evenly():
    scene = (torch.rand(2, 1, 40, 40) ** 4 * 255).round() / 255
    found = module._equalise(scene, torch.ones(2, 1, 1, 1), 1.0)
    assert found.min() == 0
    assert found.max() == 1
    assert float(found.mean()) == pytest.approx(0.5, abs=0.15)
    order = scene.flatten().argsort()
    assert (found[0].flatten()[scene[0].flatten().argsort()].diff() >= 0).all()
    assert len(order) == 3200
    flat = torch.full((1, 1, 4, 4), 0.4)
    assert torch.equal(module._equalise(flat, torch.ones(1, 1, 1, 1), 1.0), flat)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("operations", [1, 2])
def test_images_stay_images_and_the_seed_decides(channels, operations):
    scene = torch.rand(64, channels, 9, 7)
    settings = Augmentation(randaugment_operations=operations, randaugment_magnitude=9)

    def change(seed):
        return augment(scene, settings, torch.Generator().manual_seed(seed))

    found = change(0)
    assert found.shape == scene.shape
    assert 0 <= float(found.min()) <= float(found.max()) <= 1
    assert torch.equal(found, change(0))
    assert not torch.equal(found, change(1))
    same = (found == scene).flatten(1).all(1)
    assert 0 < int(same.sum()) < 40  # some draw the identity
    alone = augment(scene[:1], settings, torch.Generator().manual_seed(0))
    assert alone.shape == scene[:1].shape


def test_no_magnitude_moves_nothing():
    scene = torch.rand(40, 1, 9, 7)
    masks = torch.randint(0, 3, (40, 9, 7), dtype=torch.uint8)
    drawn = torch.Generator().manual_seed(0)
    kinds = torch.arange(40) % len(GEOMETRY)
    found, moved = module._move(scene, masks, Segmentation(), kinds, torch.zeros(40))
    torch.testing.assert_close(found, scene)
    assert torch.equal(moved, masks)
    assert randaugment(scene, masks, Segmentation(), 0, 9, drawn)[0] is scene


def test_masks_move_with_their_images():
    masks = torch.zeros(60, 15, 15, dtype=torch.uint8)
    masks[:, 5:10, 4:9] = 1
    images = ImageSet((255 * masks)[:, None], masks)
    settings = Augmentation(randaugment_operations=1, randaugment_magnitude=20)
    drawn = torch.Generator().manual_seed(0)
    kinds = torch.arange(60) % len(GEOMETRY)
    amounts = torch.where(kinds % 2 == 0, 0.5, -0.5)
    scene, moved = module._move(images.images / 255.0, masks, Segmentation(), kinds, amounts)
    assert ((scene[:, 0] > 0.5) == (moved > 0)).float().mean() > 0.99
    assert not torch.equal(moved, masks)
    scene, moved = load_batch(images, torch.arange(60), Segmentation(), settings, drawn)
    assert moved.dtype == torch.uint8
    assert set(moved.unique().tolist()) <= {0, 1}
    assert Classification().move_labels(moved, lambda maps: maps + 1) is moved


def test_there_are_fourteen_operations():
    assert len(GEOMETRY) + len(COLOURS) == 14
