import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

from hybridonn.reports.artefacts.predictions import Predictions
from hybridonn.reports.figures.confusion import count_confusions, draw_confusion, shorten
from hybridonn.reports.figures.save import render_figure
from hybridonn.tasks.classification import Classification


def draw_predictions(classes, images=300, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, images)
    logits = rng.normal(size=(images, classes)) + 2 * np.eye(classes)[labels]
    return Predictions(Classification(), labels, logits.argmax(axis=1), classes)


@pytest.mark.parametrize("classes", [2, 10, 33])
def test_the_counts_are_those_of_scikit_learn(classes):
    predictions = draw_predictions(classes)
    pair = predictions.labels, predictions.predicted
    reference = confusion_matrix(*pair, labels=range(classes))
    assert np.array_equal(count_confusions(predictions), reference)


def test_colours_are_per_cent_of_the_true_class_and_cells_hold_counts():
    pair = np.array([0, 0, 0, 0, 1]), np.array([0, 0, 0, 1, 1])
    predictions = Predictions(Classification(), *pair, 3)
    axes = draw_confusion({"student": predictions}, ["a", "b", "never"]).axes[0]
    percent = np.asarray(axes.images[0].get_array())
    assert percent.tolist() == [[75, 25, 0], [0, 100, 0], [0, 0, 0]]
    assert sorted(text.get_text() for text in axes.texts) == ["1", "1", "3"]
    assert axes.get_title(loc="left") == "Student: 4 of 5 right"


@pytest.mark.parametrize("classes", [10, 20, 47, 100])
def test_both_networks_stand_in_one_figure(classes):
    pair = {"teacher": draw_predictions(classes), "student": draw_predictions(classes, seed=1)}
    figure = draw_confusion(pair, [f"class number {index}" for index in range(classes)])
    assert len(figure.axes) == 3
    assert bool(figure.axes[0].texts) == (classes <= 20)
    assert len(render_figure(figure, "png", {})) > 20000


def test_long_names_keep_both_ends_and_a_dollar_is_no_formula():
    assert shorten("digit") == "digit"
    short = shorten("a very long class name 17")
    assert len(short) == 14
    assert short.startswith("a very") and short.endswith("17")
    predictions = draw_predictions(2)
    figure = draw_confusion({"student": predictions}, ["$x^", r"$\frac"])
    assert len(render_figure(figure, "png", {})) > 5000
