import math

import numpy as np
import pytest
import torch

from hybridonn.core.progress import Silent
from hybridonn.data.dataset import ImageSet
from hybridonn.data.survey import (
    find_misfits,
    find_oddities,
    find_unseen,
    measure_channels,
    survey_data,
    weigh_classes,
)
from hybridonn.spec import Data
from hybridonn.tasks.classification import Classification
from hybridonn.tasks.segmentation import Segmentation


def some(count=2500, with_masks=False, seed=0) -> ImageSet:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, 3, 4, 5), generator=generator, dtype=torch.uint8)
    shape = (count, 4, 5) if with_masks else (count,)
    labels = torch.randint(0, 3, shape, generator=generator)
    return ImageSet(images, labels.to(torch.uint8) if with_masks else labels)


def test_channels_are_measured_exactly():
    part = some()
    mean, deviation = measure_channels(part)
    values = part.images.double().numpy() / 255
    np.testing.assert_allclose(mean, values.mean((0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(deviation, values.std((0, 2, 3)), rtol=1e-12)


@pytest.mark.parametrize("with_masks", [False, True])
def test_classes_are_weighed_in_each_part(with_masks):
    parts = {"train": some(1700, with_masks), "test": some(300, with_masks, seed=1)}
    task = Segmentation() if with_masks else Classification()
    shares = weigh_classes(parts, ("a", "b", "c", "never"), task)
    for name, part in parts.items():
        for number, label in enumerate(("a", "b", "c", "never")):
            expected = float((part.labels == number).double().mean())
            assert shares[label][name] == pytest.approx(expected, abs=1e-12)
        assert math.fsum(shares[label][name] for label in shares) == pytest.approx(1)
    assert find_unseen(shares) == [
        "no training image shows the class never, which nothing can learn",
        "no test image shows the class never, so that no number says how well it is found",
    ]


def test_colours_and_sizes_beyond_the_files_are_told():
    small = {"24 x 30 pixels, grey": 3, "40 x 43 pixels, grey": 2}
    grey, enlarged = find_misfits(small, (3, 192, 256))
    assert "data.colour: grey" in grey
    assert "more than 2 times to 192 x 256 pixels" in enlarged
    assert "the largest is stored as 40 x 43" in enlarged
    assert find_misfits(small, (1, 32, 32)) == []
    assert find_misfits(small | {"24 x 24 pixels, in colour": 1}, (3, 32, 32)) == []
    assert find_misfits({"24 x 30 pixels, grey": 2, "200 x 200 pixels, grey": 3}, (1, 90, 90)) == []
    assert find_misfits({}, (3, 32, 32)) == []


def test_oddities_are_found():
    train, test = some(1200, with_masks=True), some(20, with_masks=True, seed=1)
    assert find_oddities({"train": train, "test": test}, Segmentation()) == []
    test.images[3] = 7
    test.images[4:6] = train.images[1100:1102]
    train.labels[17] = 0
    remarks = find_oddities({"train": train, "test": test}, Segmentation())
    assert len(remarks) == 3
    assert remarks[0] == "1 of the 1200 train masks hold a single class"
    assert remarks[1] == "1 of the 20 test images have one value everywhere"
    assert remarks[2].startswith("2 of the 20 test images are among the training images too")


def test_a_survey_names_what_is_wrong_and_goes_on(tmp_path, pictures):
    pictures.masks(tmp_path, count=12, size=(6, 8))
    (tmp_path / "images" / "p3.png").write_bytes(b"")
    pictures.save(tmp_path / "images" / "p5.png", size=(9, 8), mode="L")
    pictures.save_mask(tmp_path / "masks" / "p5.png", size=(9, 8))
    data = Data(name="mask_folder", folder=tmp_path)
    survey, images = survey_data(data, None, Silent())
    assert len(survey.faults) == 2
    assert sum(survey.counts.values()) == 10
    assert len(images) == survey.counts["train"]
    assert survey.stored == {"6 x 8 pixels, in colour": 10, "9 x 8 pixels, grey": 1}
    assert survey.image_shape == (3, 6, 8)
    assert set(survey.balance) == {"background", "object"}
    again, _ = survey_data(data.model_copy(update={"size_pixels": (4, 4)}), None, Silent())
    assert survey.to_dict()["classes"] == again.to_dict()["classes"]
    assert len(again.faults) == 2  # the grey one among colours, and the empty file


def test_a_set_too_small_to_split_is_still_shown(tmp_path, pictures):
    pictures.classes(tmp_path, count=2)
    survey, images = survey_data(Data(name="image_folder", folder=tmp_path), None, Silent())
    assert survey.counts == {"train": 4}
    assert "cannot be split: class a has 2" in survey.obstacles[0]
    assert survey.remarks == ()
    assert len(images) == 4


def test_the_digits():
    survey, _ = survey_data(Data(), None, Silent())
    assert survey.counts == {"train": 1294, "validation": 144, "test": 359}
    assert survey.stored == {"8 x 8 pixels, grey": 1797}
    assert survey.faults == survey.remarks == ()
