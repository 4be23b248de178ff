"""What several tables have in common: teachers and what they cost, and how --quick is smaller.

Seconds are of one core: measured, or scaled from measured ones by images, epochs and pixels. Parts
that name the same teacher or targets share them, and their cost counts once.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Smaller:
    """How a quick measurement differs from the whole one.

    Attributes:
        settings: Settings over the spec, ``key.path=value``.
        left_out: The same as a phrase.
    """

    settings: tuple[str, ...]
    left_out: str


QUICK_MNIST = Smaller(
    ("data.train_images=10000", "teacher.training.epochs=4"),
    "10,000 of 54,000 training images; a LeNet teacher of 4 epochs in place of 10",
)
QUICK_CIFAR = Smaller(
    ("data.train_images=5000", "teacher.training.epochs=4", "training.epochs=12"),
    "5,000 of 45,000 training images; 12 of 24 epochs; an airbench teacher of 4 epochs in place "
    "of 18",
)
QUICK_NUCLEI = Smaller(
    ("data.size_pixels=64", "training.epochs=10", "teacher.training.epochs=25"),
    "64 x 64 pixels in place of 128 x 128; 10 of 15 epochs; a U-Net teacher of 25 epochs in place "
    "of 50",
)
LENET = {"LeNet": 310, "LeNet, targets": 280}
LENET_QUICK = {"LeNet, 4 epochs": 125, "LeNet, 4 epochs, targets": 50}
AIRBENCH = {"airbench": 840, "airbench, targets": 100}
AIRBENCH_QUICK = {"airbench, 4 epochs": 190, "airbench, 4 epochs, targets": 15}
NUCLEI = {"U-Net": 400, "U-Net, targets": 130}
NUCLEI_QUICK = {"U-Net, 64 pixels": 90, "U-Net, 64 pixels, targets": 25}
