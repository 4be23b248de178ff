"""Fixed changes of the training images."""

import torch

from hybridonn import spec
from hybridonn.data.dataset import ImageSet
from hybridonn.distillation.augmentation import count_views, make_view
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
