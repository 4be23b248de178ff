"""Figure 4: what simulated networks take for what, and how the classes lie in their features."""

from hybridonn.studies.reproduce.record import Cost, Part, Row, Size, Table
from hybridonn.studies.reproduce.teachers import (
    AIRBENCH,
    AIRBENCH_QUICK,
    LENET,
    LENET_QUICK,
    QUICK_CIFAR,
    QUICK_MNIST,
)

FIGURES = {
    "confusion": "which classes the networks take for which, test images",
    "embedding": "t-SNE maps of features of test images",
}
ROWS = (
    Row("teacher.accuracy", "teacher"),
    Row("baseline.accuracy", "student without transfer"),
    Row("student.accuracy", "student, NTKD"),
)

TABLE = Table(
    "figure4",
    "Figure 4: confusions and features of simulated networks",
    "Teacher and students of one seed with ideal kernels. The paper shows no numbers here that we "
    "know of; those below are of what is drawn.",
    (
        Part(
            name="figure4-mnist",
            system="MNIST, compressed_meta",
            study="run",
            spec="mnist_chip",
            rows=ROWS,
            full=Size(1, Cost(0, LENET | {"run of MNIST": 190})),
            quick=Size(
                1,
                Cost(0, LENET_QUICK | {"run of MNIST": 60}),
                QUICK_MNIST.settings,
                left_out=QUICK_MNIST.left_out,
            ),
            options={"run": "mnist-chip-run", "figures": FIGURES},
        ),
        Part(
            name="figure4-cifar10",
            system="CIFAR-10, polychromatic_meta",
            study="run",
            spec="cifar10_chip",
            rows=ROWS,
            full=Size(1, Cost(0, AIRBENCH | {"run of CIFAR-10": 1600})),
            quick=Size(
                1,
                Cost(0, AIRBENCH_QUICK | {"run of CIFAR-10": 200}),
                QUICK_CIFAR.settings,
                left_out=QUICK_CIFAR.left_out,
            ),
            options={"run": "cifar10-chip-run", "figures": FIGURES},
        ),
    ),
)
