import torch

from hybridonn.data.batches import augment
from hybridonn.data.transforms.erasing import draw_box, erase
from hybridonn.spec import Augmentation


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_a_rectangle_of_the_stated_share_of_images_goes_dark():
    scene = torch.ones(2000, 2, 20, 30)
    found = erase(scene, 0.25, generator())
    dark = (found == 0).all(1)
    assert torch.equal(dark, (found == 0).any(1))  # all channels alike
    areas = dark.flatten(1).sum(1) / 600
    hit = areas > 0
    assert 0.2 < hit.float().mean() < 0.3
    assert areas[hit].max() < 0.35
    assert 0.1 < areas[hit].mean() < 0.22
    for image in dark[hit][:50]:
        rows, columns = image.any(1), image.any(0)
        assert torch.equal(image, rows[:, None] & columns)


def test_it_is_the_same_for_the_same_seed_and_nothing_is_drawn_for_none():
    scene = torch.rand(16, 1, 8, 8)
    assert torch.equal(erase(scene, 1.0, generator(3)), erase(scene, 1.0, generator(3)))
    untouched = generator()
    state = untouched.get_state()
    assert augment(scene, Augmentation(), untouched) is scene
    assert torch.equal(untouched.get_state(), state)


def test_boxes_fill_the_image_from_the_first_place_to_the_last():
    sides = torch.tensor([2.0, 2.0, 99.0]), torch.tensor([1.0, 3.0, 99.0])
    places = torch.tensor([[0.0, 0.999, 0.5], [0.0, 0.999, 0.5]])
    boxes = draw_box(sides, (4, 5), places)[:, 0]
    assert boxes[0].nonzero().tolist() == [[0, 0], [1, 0]]
    assert boxes[1].sum() == 6
    assert boxes[1][3, 4]
    assert boxes[2].all()
