"""The data sets that a spec can name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal


@dataclass(frozen=True)
class NamedSet:
    """What the spec knows of a data set without importing its reader.

    Attributes:
        code: The reader, ``"package.module:attribute"``. For a set of image files it takes their
            folder and returns a ``Listing``; for other sets it takes a ``ReadRequest`` and
            returns an ``UnsplitSet``.
        task: The name of the task that its labels are for.
        origin: Where the set comes from: an address, or what the user has.
        image_files: Whether the set is image files, which are listed first and decoded later.
        folder: Whether ``data.folder`` must, may or must not be stated.
        other_names: Further names of the set's folder in the data root.
        takes: Keys of ``data`` that this set takes and most sets do not: ``variant``,
            ``mask_classes`` or ``box_classes``. The reader of image files takes them as keyword
            arguments.
    """

    code: str
    task: str
    origin: str
    image_files: bool = True
    folder: Literal["required", "optional", "none"] = "optional"
    other_names: tuple[str, ...] = ()
    takes: tuple[str, ...] = ()


_READERS = "hybridonn.data.readers"
_ARRAYS = "hybridonn.data.readers.arrays"
_CLASSES = "hybridonn.data.readers.image_folder"
_MASKS = "hybridonn.data.readers.mask_folder"
# The 2-D sets of one class an image; ChestMNIST has several labels an image.
MEDMNIST_SETS = (
    *("bloodmnist", "breastmnist", "dermamnist", "octmnist", "organamnist", "organcmnist"),
    *("organsmnist", "pathmnist", "pneumoniamnist", "retinamnist", "tissuemnist"),
)
_MEDMNIST = "https://medmnist.com"
_CIFAR = "https://www.cs.toronto.edu/~kriz/cifar.html"

DATA_SETS: Mapping[str, NamedSet] = MappingProxyType(
    {
        "cifar10": NamedSet(f"{_ARRAYS}:read_cifar_set", "classification", _CIFAR, False),
        "cifar100": NamedSet(f"{_ARRAYS}:read_cifar_set", "classification", _CIFAR, False),
        "imagenet100": NamedSet(
            f"{_CLASSES}:list_imagenet100", "classification", "https://www.image-net.org"
        ),
        "image_folder": NamedSet(
            f"{_CLASSES}:list_image_folder",
            "classification",
            "a folder of the user, one folder a class",
            folder="required",
        ),
        "carvana": NamedSet(
            f"{_MASKS}:list_carvana",
            "segmentation",
            "https://www.kaggle.com/c/carvana-image-masking-challenge",
            other_names=("carvana-image-masking-challenge",),
        ),
        "dsb2018": NamedSet(
            f"{_MASKS}:list_dsb2018",
            "segmentation",
            "https://bbbc.broadinstitute.org/BBBC038",
            other_names=("data-science-bowl-2018",),
        ),
        "coco_stuff10k": NamedSet(
            f"{_MASKS}:list_coco_stuff10k",
            "segmentation",
            "https://github.com/nightrome/cocostuff10k",
            other_names=("cocostuff-10k-v1.1",),
        ),
        "mask_folder": NamedSet(
            f"{_MASKS}:list_mask_folder",
            "segmentation",
            "a folder of the user with images and masks",
            folder="required",
            takes=("mask_classes",),
        ),
        "bccd": NamedSet(
            f"{_READERS}.voc:list_bccd",
            "detection",
            "https://github.com/Shenggan/BCCD_Dataset",
            other_names=("BCCD", "BCCD_Dataset/BCCD"),
        ),
        "voc": NamedSet(
            f"{_READERS}.voc:list_voc",
            "detection",
            "a folder of the user in the layout of Pascal VOC",
            folder="required",
            takes=("box_classes",),
        ),
        "coco": NamedSet(
            f"{_READERS}.coco:list_coco",
            "detection",
            "a folder of the user with boxes in COCO's JSON",
            folder="required",
            takes=("box_classes",),
        ),
        "box_csv": NamedSet(
            f"{_READERS}.box_csv:list_box_csv",
            "detection",
            "a folder of the user with images and boxes.csv",
            folder="required",
            takes=("box_classes",),
        ),
        "dsb2018_boxes": NamedSet(
            f"{_READERS}.box_csv:list_dsb2018_boxes",
            "detection",
            "https://bbbc.broadinstitute.org/BBBC038",
            other_names=("dsb2018", "data-science-bowl-2018"),
        ),
        "digits": NamedSet(
            f"{_ARRAYS}:read_digits_set",
            "classification",
            "scikit-learn, which comes with it",
            image_files=False,
            folder="none",
        ),
        "mnist": NamedSet(
            f"{_ARRAYS}:read_mnist_set",
            "classification",
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            image_files=False,
            folder="none",
        ),
        "idx": NamedSet(
            f"{_ARRAYS}:read_idx_set",
            "classification",
            "a folder of the user with IDX files",
            image_files=False,
            folder="required",
            takes=("variant",),
        ),
        "kermany": NamedSet(
            "hybridonn.data.readers.kermany:list_kermany",
            "classification",
            "https://data.mendeley.com/datasets/rscbjbr9sj",
            other_names=("OCT2017", "OCT", "oct"),
        ),
        "medmnist": NamedSet(
            f"{_ARRAYS}:read_medmnist_set",
            "classification",
            "a file of the user in MedMNIST's npz layout, or a folder that holds it",
            image_files=False,
            folder="required",
            takes=("variant",),
        ),
        **{
            name: NamedSet(f"{_ARRAYS}:read_medmnist_set", "classification", _MEDMNIST, False)
            for name in MEDMNIST_SETS
        },
    }
)
# The form that `hybridonn.core.tables.resolve` takes.
READER_CODE: Mapping[str, str] = MappingProxyType(
    {name: named.code for name, named in DATA_SETS.items()}
)
