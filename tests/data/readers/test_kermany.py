import shutil
from pathlib import Path

import pytest

from hybridonn.core.errors import DataError
from hybridonn.data.load import load_dataset, load_unsplit
from hybridonn.data.readers.kermany import list_kermany
from hybridonn.spec import Data

SCANS = Path(__file__).resolve().parents[4] / "shared" / "data" / "oct" / "kermany-32.zip"
CLASSES = ("CNV", "DRUSEN")


def write(pictures, folder, patients, kinds=CLASSES, scans=1):
    for kind in kinds:
        for patient in patients:
            for scan in range(scans):
                path = folder / kind / f"{kind}-{patient}-{scan + 1}.jpeg"
                pictures.save(path, seed=len(path.name), size=(6, 8), mode="L")


def own(folder, **keys) -> Data:
    return Data(name="kermany", folder=folder, **keys)


def test_parts_of_the_set_are_kept_with_their_patients(tmp_path, pictures):
    for part, patients in (("train", (1, 2, 3)), ("val", (4,)), ("test", (5, 6))):
        write(pictures, tmp_path / part, patients)
    unsplit = load_unsplit(own(tmp_path))
    assert unsplit.classes == CLASSES
    assert unsplit.images.patients == ("1", "2", "3", "1", "2", "3")
    assert unsplit.validation and unsplit.validation.patients == ("4", "4")
    dataset = load_dataset(own(tmp_path, train_images=2))
    assert dataset.test.patients == ("5", "6", "5", "6")
    assert len(dataset.student_train) == 2


@pytest.mark.parametrize("parts", [("",), ("train",), ("val",)])
def test_what_has_no_folder_is_split_off_by_patient(tmp_path, pictures, parts):
    for part in parts:
        write(pictures, tmp_path / part, range(10, 20), scans=3)
    dataset = load_dataset(own(tmp_path, test_fraction=0.3, validation_fraction=0.3))
    sets = [set(part.patients) for part in (dataset.train, dataset.validation, dataset.test)]
    assert sum(map(len, sets)) == len(set.union(*sets)) == 10
    for part in (dataset.train, dataset.validation, dataset.test):
        assert set(part.labels.tolist()) == {0, 1}
        assert len(part) == 6 * len(set(part.patients))


def test_a_patient_in_two_parts_is_refused_or_left_out_of_training(tmp_path, pictures):
    write(pictures, tmp_path / "train", (1, 2, 3))
    write(pictures, tmp_path / "val", (4, 5))
    write(pictures, tmp_path / "test", (3, 5, "0006"))
    with pytest.raises(DataError, match="is of patient 3, who is in another part too") as refused:
        load_dataset(own(tmp_path))
    for name in ("train/CNV/CNV-3-1.jpeg", "test/CNV/CNV-3-1.jpeg", "val/DRUSEN/DRUSEN-5-1.jpeg"):
        assert name in str(refused.value).replace("\\", "/")
    dataset = load_dataset(own(tmp_path, skip_bad=True))
    assert set(dataset.train.patients) == {"1", "2"}
    assert set(dataset.validation.patients) == {"4"}
    assert set(dataset.test.patients) == {"3", "5", "6"}
    assert len(dataset.skipped) == 4


def test_names_without_a_patient_or_of_another_class_are_faults(tmp_path, pictures):
    write(pictures, tmp_path, (1, 2, 3))
    pictures.save(tmp_path / "CNV" / "scan7.jpeg", mode="L")
    pictures.save(tmp_path / "CNV" / "DRUSEN-9-1.jpeg", mode="L")
    pictures.save(tmp_path / "CNV" / "drusen-9-2.jpeg", mode="L")
    pictures.save(tmp_path / "CNV" / "VIRUS-9-1.jpeg", mode="L")  # of no class of the set
    faults = list_kermany(tmp_path).faults
    assert len(faults) == 3
    assert "DRUSEN-9-1.jpeg is named DRUSEN and lies in CNV/" in faults[0]
    assert "drusen-9-2.jpeg is named drusen and lies in CNV/" in faults[1]
    assert "scan7.jpeg does not say its patient" in faults[2]


def test_validation_and_test_without_training_are_refused(tmp_path, pictures):
    write(pictures, tmp_path / "val", (1,))
    write(pictures, tmp_path / "test", (2,))
    with pytest.raises(DataError, match=r"holds val/ and test/, and no train/ to learn from"):
        list_kermany(tmp_path)


def test_real_scans(tmp_path):
    if not SCANS.is_file():
        pytest.skip(f"needs real scans: looked for {SCANS}")
    shutil.unpack_archive(SCANS, tmp_path)
    data = own(tmp_path, size_pixels=32, test_fraction=0.25, validation_fraction=0.25)
    dataset = load_dataset(data)
    assert dataset.classes == ("CNV", "DME", "DRUSEN", "NORMAL")
    assert sum(len(part) for part in (dataset.train, dataset.validation, dataset.test)) == 32
    assert not set(dataset.train.patients) & set(dataset.test.patients)
