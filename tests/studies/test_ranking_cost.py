"""What a ranking costs is said before most of it is measured."""

import pytest

from hybridonn.spec import Student
from hybridonn.studies.designs import DesignPoint, name_design
from hybridonn.studies.ranking_cost import choose_pilot, say_cost
from hybridonn.studies.rows import name_row


def make_design(kernels):
    student = Student(kernels=kernels, pooled_size=2)
    return DesignPoint(name_design(student), student)


def test_the_pilot_is_of_middle_size():
    designs = [make_design(kernels) for kernels in (1, 16, 4, 8, 2)]
    assert choose_pilot(designs).student.kernels == 4


@pytest.mark.parametrize(
    ("kind", "seconds", "said"),
    [
        ("design", 0.5, "takes 0.5 s, a training 10 s: 5 % of the training that it spares"),
        ("design", 15.0, "1.5 times the training that it spares, more than 10 %; lower estimate."),
        ("infinite", 900.0, "90 times the training that it spares, more than 10 %"),
        ("infinite", 900.0, "lower estimate.train_images or estimate.features"),
    ],
)
def test_an_estimate_is_compared_with_the_training_that_it_spares(kind, seconds, said):
    pilot = make_design(4)
    values = {
        name_row("estimate", pilot.name, kind): {"seconds": seconds},
        name_row("trained", pilot.name, 0): {"seconds": 8.0},
        name_row("trained", pilot.name, 1): {"seconds": 12.0},
    }
    total, line = say_cost(values, pilot, (kind,), 2, 24)
    assert said in line
    assert total.startswith(f"{pilot.name}, a design of middle size, is measured: all 24 designs")


def test_the_time_of_all_designs_is_that_of_one_times_their_number():
    pilot = make_design(4)
    values = {
        name_row("estimate", pilot.name, "design"): {"seconds": 1.0},
        name_row("trained", pilot.name, 0): {"seconds": 1.0},
    }
    assert "all 30 designs take about 60 s" in say_cost(values, pilot, ("design",), 1, 30)[0]
