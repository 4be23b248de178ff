"""Table 3: simulated students, without transfer, with KD and with NTKD."""

from hybridonn.studies.reproduce.record import Cost, Part, Row, Size, Table
from hybridonn.studies.reproduce.teachers import (
    AIRBENCH,
    AIRBENCH_QUICK,
    LENET,
    LENET_QUICK,
    NUCLEI,
    NUCLEI_QUICK,
    QUICK_CIFAR,
    QUICK_MNIST,
    QUICK_NUCLEI,
)


def list_methods(*papers: tuple[float, float]) -> tuple[Row, ...]:
    """The rows of a system: mean and standard deviation of the paper without transfer, KD, NTKD."""
    labels = {"none": "no transfer", "kd": "KD", "ntkd": "NTKD"}
    return tuple(
        Row(key, label, mean, spread)
        for (key, label), (mean, spread) in zip(labels.items(), papers, strict=True)
    )


POLY = list_methods((74.3, 0.4), (86.7, 0.4), (91.5, 0.4))
EXTREME = list_methods((68.3, 0.5), (75.3, 0.2), (80.1, 0.2))

MNIST = Part(
    name="mnist",
    system="MNIST, compressed_meta",
    study="students",
    spec="mnist",
    rows=list_methods((91.4, 0.8), (95.9, 0.6), (97.3, 0.6)),
    full=Size(5, Cost(45, LENET)),
    quick=Size(5, Cost(12, LENET_QUICK), QUICK_MNIST.settings, left_out=QUICK_MNIST.left_out),
)
CIFAR10 = Part(
    name="cifar10",
    system="CIFAR-10, polychromatic_meta",
    study="students",
    spec="cifar10",
    rows=list_methods((56.4, 1.9), (72.5, 2.1), (75.6, 0.9)),
    full=Size(5, Cost(420, AIRBENCH)),
    quick=Size(
        3,
        Cost(50, AIRBENCH_QUICK),
        QUICK_CIFAR.settings,
        left_out=f"{QUICK_CIFAR.left_out}; 3 of 5 seeds",
    ),
)


def segment(system: str, end: str, rows: tuple[Row, ...], seconds: tuple[int, int, int]) -> Part:
    """A system of segmentation on nuclei, or on cars where they are at hand.

    Args:
        system: Name of the system in the paper.
        end: What its spec is called after the data set.
        rows: The paper's numbers.
        seconds: Mean time of a run: nuclei in full, nuclei in brief, cars.
    """
    full, quick, cars = seconds
    common = {"system": f"{system}, mIoU", "study": "students", "rows": rows}
    return Part(
        name=f"dsb2018{end.replace('_', '-')}",
        spec=f"dsb2018{end}",
        data="DSB2018 (nuclei) in place of Carvana",
        full=Size(5, Cost(full, NUCLEI)),
        quick=Size(
            3,
            Cost(quick, NUCLEI_QUICK),
            QUICK_NUCLEI.settings,
            left_out=f"{QUICK_NUCLEI.left_out}; 3 of 5 seeds",
        ),
        original="carvana",
        instead=Part(
            name=f"carvana{end.replace('_', '-')}",
            spec=f"carvana{end}",
            full=Size(5, Cost(cars, {"u-net, Carvana": 14_000, "targets, Carvana": 600})),
            **common,
        ),
        **common,
    )


SEGMENTATION = segment("polychromatic_segmentation", "", POLY, (150, 30, 2700))
EXTREME_META = segment("extreme_meta", "_extreme", EXTREME, (230, 45, 4300))

TABLE = Table(
    "table3",
    "Table 3: simulated students, by method",
    "The optics are ideal kernels, the methods are trained from the same seeds behind the same "
    "teacher. On MNIST all methods have the same rate and epochs; on CIFAR-10 each has what "
    "hybridonn tune found for it on validation images; segmentation has one setting for all.",
    (MNIST, CIFAR10, EXTREME_META, SEGMENTATION),
)
