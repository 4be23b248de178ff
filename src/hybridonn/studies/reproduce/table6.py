"""Table 6: stronger teachers, with and without NTKD."""

from typing import Any

from hybridonn.studies.reproduce.record import Cost, Part, Row, Size, Table
from hybridonn.studies.reproduce.teachers import NUCLEI, NUCLEI_QUICK, QUICK_NUCLEI


def list_rows(teacher: float, without: float, ntkd: float) -> tuple[Row, ...]:
    """The rows of a teacher: itself, and the student without and with it."""
    return (
        Row("teacher", "teacher", teacher),
        Row("none", "no transfer", without),
        Row("ntkd", "NTKD", ntkd),
    )


def make_part(
    name: str, system: str, spec: str, rows: tuple[Row, ...], full: Size, **more: Any
) -> Part:
    """A student behind a teacher."""
    return Part(name=name, system=system, study="students", spec=spec, rows=rows, full=full, **more)


RESNET18, RESNET50 = list_rows(78.43, 33.45, 46.32), list_rows(88.32, 33.45, 47.86)
UNET, RESUNET = list_rows(61.89, 35.03, 41.43), list_rows(69.23, 35.03, 42.73)
# Costs of ImageNet-100, of COCO-Stuff and of ResNets on CIFAR-10 are scaled by the number of
# operations from smaller measurements.
TABLE = Table(
    "table6",
    "Table 6: stronger teachers",
    "The student without transfer is the same behind every teacher of a data set. Both methods "
    "have the settings that were tuned for another teacher.",
    (
        make_part(
            "resnet18",
            "ImageNet-100, ResNet-18",
            "resnet_cifar10",
            RESNET18,
            Size(
                5,
                Cost(420, {"ResNet-18": 30_000, "ResNet-18, targets": 6_000}),
                ("teacher.name=resnet18",),
            ),
            data="CIFAR-10 in place of ImageNet-100",
            original="imagenet100",
            instead=make_part(
                "imagenet100-resnet18",
                "ImageNet-100, ResNet-18",
                "imagenet100",
                RESNET18,
                Size(
                    5,
                    Cost(20_000, {"ResNet-18, ImageNet-100": 700_000}),
                    ("teacher.name=resnet18",),
                ),
            ),
        ),
        make_part(
            "resnet50",
            "ImageNet-100, ResNet-50",
            "resnet_cifar10",
            RESNET50,
            Size(
                5,
                Cost(420, {"ResNet-50": 75_000, "ResNet-50, targets": 14_000}),
                ("teacher.name=resnet50",),
            ),
            data="CIFAR-10 in place of ImageNet-100",
            original="imagenet100",
            instead=make_part(
                "imagenet100-resnet50",
                "ImageNet-100, ResNet-50",
                "imagenet100",
                RESNET50,
                Size(
                    5,
                    Cost(20_000, {"ResNet-50, ImageNet-100": 1_600_000}),
                    ("teacher.name=resnet50",),
                ),
            ),
        ),
        make_part(
            "dsb2018",  # its students are those of table 3
            "COCO-Stuff, U-Net, mIoU",
            "dsb2018",
            UNET,
            Size(5, Cost(150, NUCLEI)),
            quick=Size(
                3,
                Cost(30, NUCLEI_QUICK),
                QUICK_NUCLEI.settings,
                left_out=f"{QUICK_NUCLEI.left_out}; 3 of 5 seeds",
            ),
            data="DSB2018 (nuclei) in place of COCO-Stuff",
            original="coco_stuff10k",
            instead=make_part(
                "coco-u-net",
                "COCO-Stuff, U-Net, mIoU",
                "coco_stuff10k",
                UNET,
                Size(5, Cost(8_000, {"U-Net, COCO-Stuff": 25_000}), ("teacher.name=u-net",)),
            ),
        ),
        make_part(
            "resu-net",
            "COCO-Stuff, ResU-Net, mIoU",
            "dsb2018",
            RESUNET,
            Size(
                5,
                Cost(150, {"ResU-Net": 800, "ResU-Net, targets": 150}),
                ("teacher.name=resu-net",),
            ),
            quick=Size(
                2,
                Cost(30, {"ResU-Net, 64 pixels": 110, "ResU-Net, 64 pixels, targets": 40}),
                (*QUICK_NUCLEI.settings, "teacher.name=resu-net"),
                left_out=f"{QUICK_NUCLEI.left_out}; 2 of 5 seeds",
            ),
            data="DSB2018 (nuclei) in place of COCO-Stuff",
            original="coco_stuff10k",
            instead=make_part(
                "coco-resu-net",
                "COCO-Stuff, ResU-Net, mIoU",
                "coco_stuff10k",
                RESUNET,
                Size(5, Cost(8_000, {"ResU-Net, COCO-Stuff": 30_000}), ("teacher.name=resu-net",)),
            ),
        ),
    ),
)
