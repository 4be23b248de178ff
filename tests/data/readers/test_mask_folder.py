"""Each layout is made here file by file as it is published, and read back."""

import numpy as np
import pytest
import torch
from PIL import Image

from hybridonn.core.errors import DataError
from hybridonn.data.load import load_dataset, load_unsplit
from hybridonn.data.readers.mask_folder import list_mask_folder
from hybridonn.spec import Data


def own(folder, **keys) -> Data:
    return Data(name="mask_folder", folder=folder, **keys)


def test_pairs_of_image_and_mask(tmp_path, pictures):
    pictures.masks(tmp_path / "cells", count=5)
    image = pictures.save(tmp_path / "cells" / "images" / "q.jpg.png", seed=9)
    mask = pictures.save_mask(tmp_path / "cells" / "masks" / "q.jpg_mask.png", seed=9, high=1)
    unsplit = load_unsplit(own(tmp_path / "cells"))
    assert unsplit.name == "cells"
    assert unsplit.classes == ("background", "object")
    assert unsplit.images.labels.dtype == torch.uint8
    assert unsplit.images.labels.shape == (6, 6, 8)
    assert torch.equal(unsplit.images.images[5], torch.from_numpy(image).permute(2, 0, 1))
    np.testing.assert_array_equal(unsplit.images.labels[5].numpy(), mask)


def test_parts_with_masks(tmp_path, pictures):
    pictures.masks(tmp_path / "train", count=6)
    pictures.masks(tmp_path / "test", count=2)
    dataset = load_dataset(own(tmp_path))
    assert (len(dataset.test), len(dataset.train) + len(dataset.validation)) == (2, 6)


def test_unpaired_files_are_named(tmp_path, pictures):
    pictures.masks(tmp_path, count=4)
    (tmp_path / "masks" / "p1.png").unlink()
    (tmp_path / "images" / "p2.png").unlink()
    pictures.save(tmp_path / "images" / "p3.bmp")
    (tmp_path / "masks" / "notes.txt").write_text("")
    with pytest.raises(DataError) as caught:
        load_dataset(own(tmp_path))
    for words in (
        "images/p1.png has no mask in",
        "masks/p2.png has no image in",
        "p3.png has the same name as p3.bmp",
        "notes.txt is not an image",
        "has 4 faults",
        "data.skip_bad: true",
    ):
        assert words in str(caught.value)
    unsplit = load_unsplit(own(tmp_path, skip_bad=True))
    assert len(unsplit.images) == 2
    assert len(unsplit.skipped) == 4
    with pytest.raises(DataError, match=r"cannot read the folder .*images/images"):
        list_mask_folder(tmp_path / "images")


def test_carvana(tmp_path):
    root = tmp_path / "carvana"
    (root / "train").mkdir(parents=True)
    (root / "train_masks").mkdir()
    drawn = {}
    for car in ("0cdf5b5d0ce1", "29bb3ece3180"):
        for view in range(1, 9):
            stem = f"{car}_{view:02d}"
            values = np.full((40, 60, 3), 128, dtype=np.uint8)
            values[10:30, 5 * view :] = 20 * view
            mask = np.zeros((40, 60), dtype=np.uint8)
            mask[10:30, 5 * view :] = 1
            Image.fromarray(values).save(root / "train" / f"{stem}.jpg", quality=95)
            gif = Image.fromarray(mask).convert("P")
            gif.putpalette([0, 0, 0, 255, 255, 255])
            gif.save(root / "train_masks" / f"{stem}_mask.gif")
            drawn[stem] = mask
    unsplit = load_unsplit(Data(name="carvana"), tmp_path)
    assert unsplit.classes == ("background", "car")
    assert unsplit.images.images.shape == (16, 3, 40, 60)
    for found, stem in zip(unsplit.images.labels, sorted(drawn), strict=True):
        np.testing.assert_array_equal(found.numpy(), drawn[stem])
    dataset = load_dataset(Data(name="carvana", size_pixels=(20, 30)), tmp_path)
    assert dataset.image_shape == (3, 20, 30)
    assert len(dataset.test) == 3
    assert dataset.test.labels.max() == 1


def test_dsb2018_as_it_is_published(tmp_path, pictures):
    root = tmp_path / "dsb2018" / "stage1_train"
    for number in range(4):
        key = f"{number:064x}"
        values = pictures.save(root / key / "images" / f"{key}.png", seed=number)
        alpha = np.dstack([values, np.full(values.shape[:2], 255, np.uint8)])
        Image.fromarray(alpha).save(root / key / "images" / f"{key}.png")
        for nucleus in range(3):
            mask = np.zeros((6, 8), dtype=np.uint8)
            mask[2 * nucleus : 2 * nucleus + 1, number:] = 255
            (root / key / "masks").mkdir(exist_ok=True)
            Image.fromarray(mask).save(root / key / "masks" / f"{nucleus}.png")
    unsplit = load_unsplit(Data(name="dsb2018"), tmp_path)
    assert unsplit.classes == ("background", "nucleus")
    assert unsplit.images.images.shape == (4, 3, 6, 8)
    for number, mask in enumerate(unsplit.images.labels):
        assert mask[::2, number:].min() == 1
        assert mask.sum() == 3 * (8 - number)
    (root / f"{1:064x}" / "masks" / "0.png").unlink()
    for mask in (root / f"{2:064x}" / "masks").iterdir():
        mask.unlink()
    with pytest.raises(DataError, match=r"2 holds 1 images in images/ and 0 masks"):
        load_unsplit(Data(name="dsb2018"), tmp_path)
    assert len(load_unsplit(Data(name="dsb2018", skip_bad=True), tmp_path).images) == 3


def test_coco_stuff10k(tmp_path, pictures):
    from scipy.io import savemat

    root = tmp_path / "cocostuff-10k-v1.1"
    for folder in ("annotations", "imageLists"):
        (root / folder).mkdir(parents=True)
    labels = np.array([[0, 1, 91, 92], [182, 16, 100, 90]], dtype=np.uint16)
    stems = [f"COCO_train2014_{number:012d}" for number in range(8)]
    for number, stem in enumerate(stems):
        pictures.save(root / "images" / f"{stem}.jpg", seed=number, size=(2, 4))
        savemat(root / "annotations" / f"{stem}.mat", {"S": labels, "names": ["x"]})
    (root / "imageLists" / "train.txt").write_text("\n".join(stems[:5]) + "\n")
    (root / "imageLists" / "test.txt").write_text("\n".join(stems[5:]) + "\n")
    dataset = load_dataset(Data(name="coco_stuff10k"), tmp_path)
    assert len(dataset.test) == 3
    # Things, 1 to 91, are objects; stuff and what is not labelled are background.
    assert dataset.test.labels[0].tolist() == [[0, 1, 1, 0], [0, 1, 0, 1]]
    (root / "annotations" / f"{stems[2]}.mat").write_bytes(b"not a mat file")
    (root / "images" / f"{stems[6]}.jpg").unlink()
    savemat(root / "annotations" / f"{stems[4]}.mat", {"S": labels + 1})
    with pytest.raises(DataError) as caught:
        load_dataset(Data(name="coco_stuff10k"), tmp_path)
    for words in (
        f"{stems[2]}.mat is damaged or no image",
        f"{stems[6]}.jpg is missing",
        f"{stems[4]}.mat holds labels from 1 to 183; COCO-Stuff has 0 to 182",
    ):
        assert words in str(caught.value)
    (root / "imageLists" / "test.txt").unlink()
    with pytest.raises(DataError, match=r"cannot read .*test.txt"):
        load_dataset(Data(name="coco_stuff10k"), tmp_path)


def test_the_real_dsb2018(unpacked_data_root):
    data = Data(name="dsb2018", size_pixels=32)
    dataset = load_dataset(data, unpacked_data_root)
    parts = (dataset.train, dataset.validation, dataset.test)
    assert sum(map(len, parts)) == 664
    assert len(dataset.test) == 133
    for part in parts:
        assert float(part.labels.double().mean()) == pytest.approx(0.139, abs=0.015)
    assert load_dataset(data, unpacked_data_root).checksum == dataset.checksum
