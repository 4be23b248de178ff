"""What the spec says of the images."""

import pytest

from hybridonn.core.errors import SpecError
from hybridonn.spec import Data, read_spec


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("data.size_pixels=abc", "data.size_pixels is 'abc': allowed is a list"),
        ("data.size_pixels=[1,2,3]", "at most 2 items"),
        ("data.size_pixels=0", "1 or more"),
        ("data.resize=squash", "allowed is 'crop', 'stretch' or 'pad'"),
        ("data.colour=blue", "allowed is 'auto', 'rgb' or 'grey'"),
        ("data.folder=x", "folder is x with name: digits; .* digits or mnist takes none"),
        ("data.name=mask_folder", "folder is None with name: mask_folder; .* needs a folder"),
        ("data.mask_classes=[a]", "at least 2 items"),
        ("data.mask_classes=[a, b]", "only name: mask_folder takes it"),
        ("training.augmentation.crop_pixels=1.5", "whole number"),
        ("training.augmentation.crop_pixels=-1", "0 or more"),
        ("training.augmentation.crop_edge=black", "allowed is 'dark' or 'reflect'"),
        ("training.augmentation.brightness=1", "a number below 1"),
    ],
)
def test_faults_are_named(setting, words):
    with pytest.raises(SpecError, match=words):
        read_spec(None, (setting,))


def test_one_number_is_a_square():
    assert Data(size_pixels=12) == Data(size_pixels=(12, 12))
    assert Data(size_pixels=[3, 4]).size_pixels == (3, 4)
    assert Data().size_pixels is None


@pytest.mark.parametrize("name", ["carvana", "dsb2018", "coco_stuff10k", "mask_folder"])
def test_sets_of_masks_say_so(name, tmp_path):
    assert Data(name=name, folder=tmp_path).task == "segmentation"
    assert Data(name="image_folder", folder=tmp_path).task == "classification"
