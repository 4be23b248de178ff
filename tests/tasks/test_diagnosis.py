import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from hybridonn.reports.tables.measures import list_measures
from hybridonn.tasks.classification import Classification
from hybridonn.tasks.diagnosis import Diagnosis, bootstrap


def draw(classes, count=80):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, classes, count)
    scores = rng.random((count, classes)).round(1)  # with equal ones
    scores[range(count), labels] += 0.2
    return scores / scores.sum(1, keepdims=True), labels


@pytest.mark.parametrize("classes", [2, 3])
def test_it_is_what_scikit_learn_measures(classes):
    scores, labels = draw(classes)
    found = Diagnosis(scores, labels).measure(np.ones(80))
    right = scores.argmax(1)
    assert found["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(labels, right))
    given = scores[:, 1] if classes == 2 else scores
    assert found["auc"] == pytest.approx(roc_auc_score(labels, given, multi_class="ovr"))
    spared = [(right != k)[labels != k].mean() for k in range(classes)]
    if classes == 2:
        assert found["sensitivity"] == pytest.approx((right == 1)[labels == 1].mean())
        assert found["specificity"] == pytest.approx(spared[1])
    else:
        assert found["specificity"] == pytest.approx(np.mean(spared))
        assert found["sensitivity"] == found["balanced_accuracy"]


def test_an_image_that_counts_twice_is_there_twice():
    scores, labels = draw(3, 30)
    times = np.arange(30) % 3
    repeated = np.repeat(np.arange(30), times)
    twice = Diagnosis(scores[repeated], labels[repeated]).measure(np.ones(len(repeated)))
    assert Diagnosis(scores, labels).measure(times) == pytest.approx(twice)


def test_the_interval_holds_the_value_and_is_wider_by_patient():
    scores, labels = draw(2, 60)
    many = np.repeat(np.arange(60), 10)
    diagnosis = Diagnosis(scores[many], labels[many])
    alone = bootstrap(diagnosis, 600)
    whole = bootstrap(diagnosis, 600, [str(number) for number in many])
    value = diagnosis.measure(np.ones(600))["auc"]
    for low, high in (alone["auc"], whole["auc"]):
        assert low < value < high
    assert np.ptp(whole["auc"]) > 2 * np.ptp(alone["auc"])
    assert bootstrap(diagnosis, 600) == alone


def test_the_table_of_a_report():
    student = {"accuracy": 0.9, "auc": 0.95, "intervals": {"auc": [0.93, 0.97]}}
    rows = list_measures({"student": student, "teacher": {"accuracy": 0.8}})
    assert rows[1:] == [("accuracy", "90.0", "80.0"), ("AUC", "95.0 (93.0 to 97.0)", "–")]
    assert list_measures({"student": {"accuracy": 0.9}}) == []
    rows = list_measures({"student": student}, {"student": (0.5, 0.75)})
    assert rows[1][1].endswith(" (50.0 to 75.0)")  # results.json has none of the accuracy


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("label", "told"), [(0, "specificity"), (1, "sensitivity")])
def test_test_images_of_one_class_leave_out_what_they_do_not_tell(label, told):
    logits, labels = torch.randn(20, 2, generator=torch.manual_seed(0)), torch.full((20,), label)
    task = Classification()
    found, intervals = task.measure(logits, labels), task.intervals(logits, labels)
    assert set(found) == {"accuracy", "balanced_accuracy", told}
    assert set(intervals) == {"balanced_accuracy", told}
    rows = list_measures({"student": found | {"intervals": intervals}})
    assert [row[0] for row in rows[1:]] == ["accuracy", "balanced accuracy", told]
