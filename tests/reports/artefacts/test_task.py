"""The task of a run is known by its metric."""

import pytest

from hybridonn.reports.artefacts.task import find_task, label_metric
from hybridonn.tasks.table import TASKS
from hybridonn.tasks.task import make_task


@pytest.mark.parametrize("name", TASKS)
def test_a_task_is_found_by_its_metric(name):
    task = make_task(name)
    assert find_task(["seconds", task.metric]).metric == task.metric
    assert find_task([f"validation_{task.metric}"], "validation_").metric == task.metric
    assert label_metric(task.metric) == task.label


def test_a_metric_of_no_task_keeps_its_name():
    assert label_metric("speed") == "speed"
