"""What every task of the table keeps to."""

import pytest

from hybridonn.tasks.table import TASKS
from hybridonn.tasks.task import make_task


@pytest.fixture(params=TASKS)
def task(request):
    return make_task(request.param)


def test_stated_probes_are_taken(task):
    assert task.contraction(3) == 3
