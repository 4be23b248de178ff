import math

import pytest
import torch

from hybridonn.data.batches import augment, augment_pair, load_batch, to_scene
from hybridonn.data.dataset import ImageSet
from hybridonn.data.transforms.affine import Affine, draw_affine, warp
from hybridonn.spec import Augmentation
from hybridonn.tasks.classification import Classification
from hybridonn.tasks.segmentation import Segmentation


def change(count=1, right=0.0, down=0.0, degrees=0.0, scale=1.0) -> Affine:
    return Affine(
        right=torch.full((count,), right),
        down=torch.full((count,), down),
        angle_radians=torch.full((count,), math.radians(degrees)),
        scale=torch.full((count,), scale),
    )


def delta(row, column, height=9, width=13) -> torch.Tensor:
    scene = torch.zeros(1, 1, height, width, dtype=torch.float64)
    scene[..., row, column] = 1
    return scene


def blob(height, width, row, column, spread=2.0) -> torch.Tensor:
    rows = torch.arange(height, dtype=torch.float64)[:, None] - row
    columns = torch.arange(width, dtype=torch.float64) - column
    return torch.exp(-(rows**2 + columns**2) / (2 * spread**2))[None, None]


def centroid(scene) -> tuple[float, float]:
    weight = scene[0, 0] / scene[0, 0].sum()
    rows, columns = (torch.arange(size, dtype=scene.dtype) for size in weight.shape)
    return float(weight.sum(1) @ rows), float(weight.sum(0) @ columns)


def test_radiance_is_from_0_to_1():
    images = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    scene = to_scene(images)
    assert scene.dtype == torch.float32
    torch.testing.assert_close(scene.flatten(), torch.linspace(0, 1, 256))
    with pytest.raises(TypeError, match=r"torch.uint8"):
        to_scene(scene)


def test_no_change_returns_the_scene_and_draws_nothing():
    generator = torch.Generator().manual_seed(3)
    before = generator.get_state()
    scene = torch.rand(2, 3, 5, 6)
    assert augment(scene, Augmentation(), generator) is scene
    assert torch.equal(generator.get_state(), before)


def test_a_neutral_change_is_the_identity():
    scene = torch.rand(3, 2, 7, 10)
    torch.testing.assert_close(warp(scene, change(3)), scene)


def test_a_shift_by_whole_pixels_moves_and_darkens():
    scene = torch.rand(2, 3, 8, 11, dtype=torch.float64)
    moved = warp(scene, change(2, right=3.0, down=-2.0))
    expected = torch.zeros_like(scene)
    expected[..., :-2, 3:] = scene[..., 2:, :-3]
    torch.testing.assert_close(moved, expected, atol=1e-6, rtol=0)


def test_a_shift_by_part_of_a_pixel_divides_a_delta_bilinearly():
    moved = warp(delta(4, 6), change(right=1.25, down=0.4))
    expected = torch.zeros(9, 13, dtype=torch.float64)
    expected[4, 7], expected[4, 8] = 0.6 * 0.75, 0.6 * 0.25
    expected[5, 7], expected[5, 8] = 0.4 * 0.75, 0.4 * 0.25
    torch.testing.assert_close(moved[0, 0], expected, atol=1e-6, rtol=0)


def test_a_quarter_turn_is_anticlockwise():
    scene = torch.rand(2, 3, 9, 9, dtype=torch.float64)
    turned = warp(scene, change(2, degrees=90))
    torch.testing.assert_close(turned, torch.rot90(scene, 1, (2, 3)), atol=1e-5, rtol=0)


def test_a_quarter_turn_keeps_distances_in_a_picture_that_is_not_square():
    # Centre (4, 6): two pixels right of it goes to two pixels above it.
    turned = warp(delta(4, 8), change(degrees=90))
    torch.testing.assert_close(turned, delta(2, 6), atol=1e-5, rtol=0)


@pytest.mark.parametrize("degrees", [-140.0, -30.0, 17.0, 60.0])
@pytest.mark.parametrize("shape", [(41, 61), (60, 42)])
def test_rotation_scale_and_shift_in_pixels(degrees, shape):
    height, width = shape
    row, column = (height - 1) / 2, (width - 1) / 2
    across, up, scale, right, down = 6.0, 4.0, 1.3, 1.7, -2.6
    moved = warp(
        blob(height, width, row - up, column + across),
        change(right=right, down=down, degrees=degrees, scale=scale),
    )
    # The same point as a complex number: x to the right, y up.
    point = complex(across, up) * scale * complex(
        math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    ) + complex(right, -down)
    found_row, found_column = centroid(moved)
    assert found_row == pytest.approx(row - point.imag, abs=0.01)
    assert found_column == pytest.approx(column + point.real, abs=0.01)
    # Light spreads over s^2 times the area.
    assert float(moved.sum()) == pytest.approx(scale**2 * 2 * math.pi * 2.0**2, rel=0.01)


def test_draws_are_uniform_within_the_settings():
    settings = Augmentation(shift_pixels=2.0, rotation_degrees=15.0, scale_fraction=0.1)
    drawn = draw_affine(20000, settings, torch.Generator().manual_seed(0))
    limit = math.radians(15)
    for values, low, high in [
        (drawn.right, -2, 2),
        (drawn.down, -2, 2),
        (drawn.angle_radians, -limit, limit),
        (drawn.scale, 0.9, 1.1),
    ]:
        assert low <= float(values.min()) < low + 0.01 * (high - low)
        assert high >= float(values.max()) > high - 0.01 * (high - low)
        # Mean and standard deviation of a uniform distribution, within 5 standard errors.
        spread = (high - low) / math.sqrt(12)
        middle = (high + low) / 2
        assert float(values.mean()) == pytest.approx(middle, abs=5 * spread / 20000**0.5)
        assert float(values.std()) == pytest.approx(spread, rel=0.02)
    assert abs(float(torch.corrcoef(torch.stack([drawn.right, drawn.down]))[0, 1])) < 0.05


def test_the_generator_alone_decides():
    settings = Augmentation(shift_pixels=1.5, rotation_degrees=10.0, scale_fraction=0.2)
    scene = torch.rand(4, 1, 12, 12)
    first, again, other = (
        augment(scene, settings, torch.Generator().manual_seed(seed)) for seed in (5, 5, 6)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.shape == scene.shape
    assert first.dtype == scene.dtype
    assert 0 <= float(first.min()) <= float(first.max()) <= 1 + 1e-6
    # Each image is changed by itself.
    same = augment(scene[:1].expand(4, -1, -1, -1), settings, torch.Generator().manual_seed(5))
    assert not torch.equal(same[0], same[1])


def test_one_setting_leaves_the_others_alone():
    scene = torch.rand(8, 1, 12, 12)
    generator = torch.Generator().manual_seed(1)
    settings = Augmentation(shift_pixels=1.0)
    drawn = draw_affine(8, settings, torch.Generator().manual_seed(1))
    assert (drawn.angle_radians == 0).all()
    assert (drawn.scale == 1).all()
    torch.testing.assert_close(augment(scene, settings, generator), warp(scene, drawn))


EVERYTHING = Augmentation(
    shift_pixels=1.5,
    rotation_degrees=20.0,
    scale_fraction=0.2,
    flip=True,
    crop_pixels=2,
    brightness=0.2,
    contrast=0.2,
    saturation=0.2,
)


def test_a_mask_moves_as_its_picture_does():
    # An image of two values far apart: where it is bright after the change, its mask is 1.
    masks = torch.zeros(40, 30, 24, dtype=torch.uint8)
    masks[:, 8:20, 5:16] = 1
    scene = masks[:, None].float().expand(-1, 3, -1, -1)
    settings = Augmentation(
        shift_pixels=3.0, rotation_degrees=30.0, scale_fraction=0.2, flip=True, crop_pixels=3
    )
    moved, labels = augment_pair(
        scene, masks, Segmentation(), settings, torch.Generator().manual_seed(1)
    )
    assert labels.dtype == torch.uint8
    assert labels.shape == masks.shape
    inside, outside = moved[:, 0] > 0.99, moved[:, 0] < 0.01
    assert (labels[inside] == 1).all()
    assert (labels[outside] == 0).all()
    assert inside.sum() > 2000
    assert not torch.equal(labels, masks)
    # A mask keeps its values: nothing is interpolated.
    many = torch.randint(0, 256, (40, 30, 24), dtype=torch.uint8)
    kept = augment_pair(scene, many, Segmentation(), settings, torch.Generator().manual_seed(1))[1]
    for before, after in zip(many, kept, strict=True):
        assert set(after.unique().tolist()) <= set(before.unique().tolist()) | {0}


def test_classes_stay_as_they_are():
    scene, labels = torch.rand(6, 3, 10, 10), torch.arange(6)
    moved, same = augment_pair(
        scene, labels, Classification(), EVERYTHING, torch.Generator().manual_seed(0)
    )
    assert same is labels
    assert torch.equal(moved, augment(scene, EVERYTHING, torch.Generator().manual_seed(0)))


@pytest.mark.parametrize("with_masks", [False, True])
@pytest.mark.parametrize("settings", [Augmentation(), EVERYTHING])
def test_a_batch_is_the_augmented_scene_of_its_images(settings, with_masks):
    images = torch.randint(0, 256, (20, 3, 12, 9), dtype=torch.uint8)
    labels = torch.randint(0, 3, (20, 12, 9) if with_masks else (20,))
    labels = labels.to(torch.uint8) if with_masks else labels
    indices = torch.tensor([7, 3, 11, 3])
    task = Segmentation() if labels.ndim == 3 else Classification()
    scene, found = load_batch(
        ImageSet(images, labels), indices, task, settings, torch.Generator().manual_seed(4)
    )
    expected = augment_pair(
        to_scene(images[indices]), labels[indices], task, settings, torch.Generator().manual_seed(4)
    )
    torch.testing.assert_close(scene, expected[0])
    assert torch.equal(found, expected[1])


def test_a_set_on_a_device_gives_the_same_batches():
    images = torch.randint(0, 256, (20, 3, 12, 9), dtype=torch.uint8)
    part = ImageSet(images, torch.arange(20))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    moved = part.to(device)
    indices = torch.tensor([7, 3, 11, 3])
    here = load_batch(part, indices, Classification(), EVERYTHING, torch.Generator().manual_seed(4))
    there = load_batch(
        moved, indices.to(device), Classification(), EVERYTHING, torch.Generator().manual_seed(4)
    )
    assert there[0].device.type == device.type
    torch.testing.assert_close(there[0].cpu(), here[0], atol=1e-5, rtol=0)
    assert torch.equal(there[1].cpu(), here[1])
