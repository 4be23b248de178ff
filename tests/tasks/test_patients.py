"""Patients, whose images are pooled to one answer."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from hybridonn.core.errors import ArtefactError
from hybridonn.data.dataset import ImageSet
from hybridonn.pipeline.artefacts import diagnose_patients
from hybridonn.reports.artefacts.numbers import list_result_kinds
from hybridonn.reports.sections.confusion import CONFUSION
from hybridonn.tasks.classification import Classification
from hybridonn.tasks.detection import Detection
from hybridonn.tasks.patients import pool_patients
from hybridonn.tasks.segmentation import Segmentation

# Two of three images of patient a are taken for class 1, but the mean probability is of class 0.
PROBABILITIES = torch.tensor([[0.9, 0.1], [0.45, 0.55], [0.45, 0.55], [0.2, 0.8], [0.7, 0.3]])
LABELS = torch.tensor([0, 0, 0, 1, 1])
PATIENTS = ("a", "a", "a", "b", "a")


def test_the_mean_probability_of_the_images_decides():
    found = Classification().diagnose_patients(PROBABILITIES.log(), LABELS, PATIENTS)
    # Patient a counts once with images of class 0, once with the one of class 1.
    assert found["patients"] == 3
    assert found["confusion"] == [[1, 0], [1, 1]]
    assert found["accuracy"] == pytest.approx(2 / 3)
    assert found["balanced_accuracy"] == pytest.approx(0.75)
    assert set(found["intervals"]) == {"balanced_accuracy", "sensitivity", "specificity", "auc"}


def test_scores_are_means_over_the_images_of_a_patient_and_class():
    pooled, truth, names = pool_patients(PROBABILITIES.numpy(), LABELS.numpy(), PATIENTS)
    np.testing.assert_allclose(pooled, [[0.6, 0.4], [0.7, 0.3], [0.2, 0.8]], rtol=1e-6)
    assert truth.tolist() == [0, 1, 1]
    assert names == ["a", "a", "b"]


def test_without_patients_and_in_other_tasks_nothing_is_pooled():
    images, task = torch.zeros(5, 1, 2, 2, dtype=torch.uint8), Classification()
    test = ImageSet(images, LABELS, PATIENTS)
    assert diagnose_patients(task, PROBABILITIES.log(), test)["by_patient"]["patients"] == 3
    assert diagnose_patients(task, PROBABILITIES.log(), ImageSet(images, LABELS)) == {}
    for other in (Segmentation(), Detection()):
        assert diagnose_patients(other, PROBABILITIES.log(), test) == {}


PREDICTIONS = SimpleNamespace(interval=(0.7, 0.9))


def make_run(tmp_path, **results):
    return SimpleNamespace(
        task=Classification(),
        classes=("normal", "ill"),
        models={name: SimpleNamespace(predictions=PREDICTIONS) for name in results},
        results=results,
        folder=tmp_path,
    )


def test_the_report_shows_them_or_says_that_there_are_none(tmp_path):
    measured = Classification().diagnose_patients(PROBABILITIES.log(), LABELS, PATIENTS)
    run = make_run(tmp_path, student={"accuracy": 0.8, "by_patient": measured})
    whole, patients = CONFUSION.build(run)
    assert "name no patients" not in whole.caption
    assert "probabilities are averaged" in patients.caption
    assert patients.table[1][:1] == ("accuracy",)
    assert patients.draw().axes[0].get_title("left") == "Student: 2 of 3 right"
    (alone,) = CONFUSION.build(make_run(tmp_path, student={"accuracy": 0.8}))
    assert "The data name no patients" in alone.caption
    run.classes = ("one", "two", "three")
    with pytest.raises(ArtefactError, match="by patient of 2 classes, and there are 3"):
        CONFUSION.build(run)


@pytest.mark.parametrize("confusion", [None, [[1, 2]], [[1, -1], [0, 1]], [[1, 0.5], [0, 1]]])
def test_a_harmed_table_of_patients_is_refused(confusion):
    kind = list_result_kinds(("accuracy",))["*.by_patient"]
    assert kind.fits({"accuracy": 0.5, "confusion": [[1, 0], [1, 1]], "intervals": {}})
    assert not kind.fits({"accuracy": 0.5, "confusion": confusion, "intervals": {}})
    assert not kind.fits({"accuracy": 1.5, "confusion": [[1]], "intervals": {}})
