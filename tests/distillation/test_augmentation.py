"""Fixed changes of the training images."""

import torch

from hybridonn import spec
from hybridonn.data.dataset import ImageSet
from hybridonn.distillation.augmentation import count_views, make_view, see_view
from hybridonn.tasks.classification import Classification
from hybridonn.tasks.segmentation import Segmentation

FLIP = spec.Augmentation(flip=True, crop_pixels=1)


def test_a_view_is_the_same_each_time_and_unlike_another():
    images = torch.randint(0, 256, (30, 3, 8, 8), dtype=torch.uint8)
    part = ImageSet(images, (images[:, 0] > 99).to(torch.uint8))
    first, again, other = (make_view(part, Segmentation(), FLIP, view) for view in (0, 0, 1))
    assert torch.equal(first.images, again.images)
    assert not torch.equal(first.images, other.images)
    for view in (first, other):  # the mask goes where its image goes; what comes in is dark
        assert torch.equal(view.labels, (view.images[:, 0] > 99).to(torch.uint8))


def test_images_that_are_not_changed_have_one_form():
    assert count_views(spec.Training()) == count_views(spec.Training(views=4)) == 1
    assert count_views(spec.Training(augmentation=FLIP)) is None
    assert count_views(spec.Training(augmentation=FLIP, views=4)) == 4


def test_the_masks_of_a_cut_view_come_with_its_pixels():
    levels = torch.arange(30, dtype=torch.uint8)
    part = ImageSet(
        levels[:, None, None, None].expand(30, 3, 8, 8).contiguous(),
        levels[:, None, None].expand(30, 8, 8).contiguous(),
    )
    settings = spec.Training(augmentation=spec.Augmentation(cutmix_alpha=1), views=2, batch_size=8)
    images, groups = see_view(part, Segmentation(), settings, 1)
    assert torch.equal(images.images[:, 0], images.labels)
    assert groups is not None
    assert [len(group.indices) for group in groups] == [8, 8, 8, 6]
    assert torch.equal(torch.cat([group.indices for group in groups]).sort().values, levels.long())
    assert all(group.mixture is None for group in groups)
    assert not torch.equal(images.labels, part.labels)
    assert torch.equal(part.images[:, 0, 0, 0], levels)  # the set itself is as it was


def test_labels_that_are_no_tensor_stay_with_their_images():
    boxes = tuple(torch.full((index % 3, 5), float(index)) for index in range(12))
    part = ImageSet(torch.randint(0, 256, (12, 3, 8, 8), dtype=torch.uint8), boxes)
    settings = spec.Training(augmentation=spec.Augmentation(mixup_alpha=1), views=2, batch_size=5)
    images, groups = see_view(part, Classification(), settings, 0)
    assert groups is not None and all(group.mixture is not None for group in groups)
    assert isinstance(images.labels, tuple)
    for label, own in zip(images.labels, boxes, strict=True):
        assert torch.equal(label, own)
