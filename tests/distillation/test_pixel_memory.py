"""What is remembered of a teacher's pixels against what the teacher says."""

import pytest
import torch

from hybridonn.distillation import pixel_memory
from hybridonn.distillation.pixel_memory import PixelMemory
from hybridonn.distillation.teacher_targets import LiveTargets, teacher_pixel_kernel
from hybridonn.networks.teachers.build import build_teacher
from hybridonn.tasks.pixels import SampledPixels, sample_near_borders

IMAGES, SIDE = 5, 8


class Asked:
    """A teacher that counts the images that it is shown."""

    def __init__(self):
        arguments, outputs = {"width": 3, "depth": 1}, (2, SIDE, SIDE)
        self.network = build_teacher("u-net", arguments, (1, SIDE, SIDE), 2, 0, outputs=outputs)
        self.network.eval().register_forward_pre_hook(self._count)
        self.seen = 0

    def _count(self, network, inputs):
        self.seen += len(inputs[0])


@pytest.fixture
def asked():
    return Asked()


@pytest.fixture
def scene():
    return torch.rand(IMAGES, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(3))


def sample(images, seed=0):
    torch.manual_seed(seed)
    return sample_near_borders((images[:, 0] > 0.6).byte(), 6)


def test_it_is_the_teachers_kernel_and_each_image_is_shown_once(asked, scene):
    memory = PixelMemory(asked.network, "last", IMAGES)
    for seed, some in enumerate(([0, 1, 2], [2, 4, 0], [3, 1, 2])):
        images, pixels = scene[some], sample(scene[some], seed)
        found = memory.kernel(torch.tensor(some), images, pixels)
        before = asked.seen
        expected = teacher_pixel_kernel(asked.network, images, "last", pixels)
        asked.seen = before
        torch.testing.assert_close(found, expected, rtol=2e-3, atol=2e-3)
        assert not found.requires_grad
    assert asked.seen == IMAGES


def test_pixels_of_a_larger_image_are_found_in_the_answer(asked, scene):
    some = torch.arange(IMAGES)
    places = torch.tensor([[0, 17, 100, 255]]).expand(IMAGES, -1)
    pixels = SampledPixels(places, (2 * SIDE, 2 * SIDE))
    found = PixelMemory(asked.network, "last", IMAGES).kernel(some, scene, pixels)
    expected = teacher_pixel_kernel(asked.network, scene, "last", pixels)
    torch.testing.assert_close(found, expected, rtol=2e-3, atol=2e-3)


def test_what_is_remembered_does_not_depend_on_who_met_in_a_batch(asked, scene):
    """A training that goes on after an interruption meets other images for the first time."""
    pixels, some = sample(scene), torch.arange(IMAGES)
    whole = PixelMemory(asked.network, "last", IMAGES)
    late = PixelMemory(asked.network, "last", IMAGES)
    late.kernel(some[3:], scene[3:], sample(scene[3:]))
    both = [memory.kernel(some, scene, pixels) for memory in (whole, late)]
    assert torch.equal(*both)


def test_images_that_half_precision_cannot_hold_are_remembered_whole(asked, scene):
    """Faint features behind a layer without a bias, for example."""
    asked.network.head.bias = None
    some, pixels = torch.arange(IMAGES), sample(scene)
    faint = torch.cat([scene[:1] * 1e-9, scene[1:]])
    before = asked.network.head.register_forward_pre_hook(lambda _, x: (x[0] * 1e-7,))
    memory = PixelMemory(asked.network, "last", IMAGES)
    found = memory.kernel(some, faint, pixels)
    expected = teacher_pixel_kernel(asked.network, faint, "last", pixels)
    before.remove()
    torch.testing.assert_close(found, expected, rtol=2e-3, atol=0)


def test_in_bfloat16_each_image_is_remembered_too(asked, scene):
    """Autocast keeps the weights that it has cast; the next image's graph must not miss them."""
    some, pixels = torch.arange(IMAGES), sample(scene)
    whole = PixelMemory(asked.network, "last", IMAGES)
    late = PixelMemory(asked.network, "last", IMAGES)
    with torch.autocast("cpu", torch.bfloat16):
        asked.network(scene)  # the cast weights are kept from here on
        late.kernel(some[3:], scene[3:], sample(scene[3:]))
        both = [memory.kernel(some, scene, pixels) for memory in (whole, late)]
        live = teacher_pixel_kernel(asked.network, scene, "last", pixels)
    assert whole.serves and torch.equal(*both)
    torch.testing.assert_close(both[0], live, rtol=2e-2, atol=2e-2)


def test_more_than_fits_is_not_remembered(asked, scene, monkeypatch):
    one = SIDE * SIDE * 4  # numbers: 3 channels and a bias of each pixel
    some, pixels = torch.arange(IMAGES), sample(scene)
    monkeypatch.setattr(pixel_memory, "LARGEST", IMAGES * one)
    assert PixelMemory(asked.network, "last", IMAGES).kernel(some, scene, pixels) is not None
    memory = PixelMemory(asked.network, "last", IMAGES + 1)
    asked.seen = 0
    assert memory.kernel(some, scene, pixels) is None
    assert memory.kernel(some, scene, pixels) is None
    assert asked.seen == 1


def test_other_layers_are_asked_of_the_teacher_at_each_step(asked, scene):
    some, pixels = torch.arange(2), sample(scene[:2])
    memory = PixelMemory(asked.network, "all", IMAGES)
    live = LiveTargets(asked.network, layers="all", memory=memory)
    found = live.kernel(some, scene[:2], pixels)
    assert not memory.serves
    expected = teacher_pixel_kernel(asked.network, scene[:2], "all", pixels)
    torch.testing.assert_close(found, expected)
