import json

import numpy as np
import pytest

from hybridonn.core.errors import ArtefactError
from hybridonn.reports.artefacts.estimate import Estimated
from hybridonn.reports.artefacts.run import read_run
from hybridonn.reports.figures.learning_curve import draw_learning_curve
from hybridonn.reports.page import write_report
from hybridonn.reports.sections.all import list_figures
from hybridonn.reports.sections.estimate import describe_estimate
from hybridonn.tasks.classification import Classification

CURVE = "images,accuracy\n125,0.881\n250,0.912\n500,0.938\n900,0.951\n1000,0.9544\n"
NUMBERS = {"accuracy": 0.9544, "uncertainty": 0.006, "train_images": 1000, "test_images": 360}


def make_estimate(**changes):
    table = np.genfromtxt(CURVE.splitlines(), delimiter=",", names=True)
    curve = {name: table[name] for name in ("images", "accuracy")}
    numbers = {name: number for name, number in NUMBERS.items() if name != "accuracy"}
    told = {"task": Classification(), "kernels": "infinite", "method": "", "value": 0.9544}
    return Estimated(**(told | {"curve": curve} | numbers | changes))


@pytest.fixture
def promised(run_folder):
    (run_folder / "estimate").mkdir()
    (run_folder / "estimate" / "learning_curve.csv").write_text(CURVE)
    results = json.loads((run_folder / "results.json").read_text())
    (run_folder / "results.json").write_text(json.dumps(results | {"estimate": NUMBERS}))
    return run_folder


def test_the_report_shows_the_estimate_where_there_is_one(promised):
    text = write_report(promised).read_text("utf-8")
    assert 'id="estimate"' in text
    assert "fitted to 1,000 training images and tested on 360 test images" in text
    assert "97.2 % with 1,000 training images, 1.8 points above it" in text
    assert (promised / "figures" / "estimate.png").stat().st_size > 5000


def keep_scores(folder, places, wrong):
    """The estimate's scores of some of the test images, the first so many wrong."""
    labels = np.load(folder / "student" / "predictions.npz")["labels"][places]
    scores = (np.arange(len(places)) >= wrong).astype(float)
    path = folder / "estimate" / "scores.npz"
    np.savez(path, positions=places, labels=labels, scores=scores)
    change = {"accuracy": float(scores.mean()), "test_images": len(places)}
    results = json.loads((folder / "results.json").read_text())
    results["estimate"] |= change
    (folder / "results.json").write_text(json.dumps(results))
    curve = f"images,accuracy\n1000,{change['accuracy']}\n"
    (folder / "estimate" / "learning_curve.csv").write_text(curve)


def test_estimate_and_student_are_compared_on_the_same_test_images(promised):
    keep_scores(promised, np.arange(180), 27)  # the student errs on the first 10 of 360
    text = " ".join(write_report(promised).read_text("utf-8").split())
    assert "reaches 97.2 % with 1,000 training images, 9.4 points above it" in text
    assert "on the same 180 test images (student less estimate, 95 % over these images: " in text
    assert "The two saw different" not in text


def test_scores_of_other_images_are_refused(promised):
    keep_scores(promised, np.arange(180), 27)
    path = promised / "estimate" / "scores.npz"
    np.savez(path, **(dict(np.load(path)) | {"positions": np.arange(180, 360)}))
    with pytest.raises(ArtefactError, match="not those of the student"):
        read_run(promised)


def test_a_run_without_estimate_has_no_such_figure(run_folder):
    run = read_run(run_folder)
    assert run.estimate is None
    assert "estimate" not in [figure.name for figure in list_figures(run)]


def test_the_curve_the_bar_and_the_levels_are_drawn():
    figure = draw_learning_curve(make_estimate(), student=0.97, student_images=1000, teacher=0.99)
    axes = figure.axes[0]
    assert axes.get_xscale() == "log"
    np.testing.assert_allclose(axes.lines[0].get_ydata(), [88.1, 91.2, 93.8, 95.1, 95.44])
    low, high = axes.collections[0].get_segments()[0][:, 1]
    assert (low, high) == pytest.approx((94.110, 96.482), abs=2e-3)  # on the scale of log-odds
    levels = [line.get_ydata()[0] for line in axes.lines if line.get_linestyle() in ("--", ":")]
    assert levels == [99, 97]


def test_an_interval_never_passes_100_per_cent():
    estimate = make_estimate(value=0.9916, uncertainty=0.0057)
    estimate.curve["accuracy"][-1] = 0.9916
    axes = draw_learning_curve(estimate).axes[0]
    low, high = axes.collections[0].get_segments()[0][:, 1]
    assert 96 < low < 99.16 < high < 100
    assert "99.2 % (96.9 to 99.8 %)" in [text.get_text() for text in axes.texts]


def test_rows_in_any_order_give_the_same_figure():
    shuffled = make_estimate()
    order = np.array([3, 0, 4, 1, 2])
    curve = {name: column[order] for name, column in shuffled.curve.items()}
    axes = draw_learning_curve(make_estimate(curve=curve)).axes[0]
    assert list(axes.lines[0].get_xdata()) == [125, 250, 500, 900, 1000]


def test_the_caption_says_what_differs_and_what_is_left_out():
    text = describe_estimate(make_estimate(), 0.94, 5000, 10_000)
    assert "94.00 % with 5,000 training images, 1.4 points below it" in text
    assert "different training and test images" in text
    assert "the number of optical kernels and the widths of the hidden layers do not count" in text
    assert "leaves out" in text
    design = describe_estimate(make_estimate(kernels="design"), None, None, None)
    assert "the design's own number of kernels" in design
    assert "trained student" not in design
    lens = describe_estimate(make_estimate(kernels="lens"), None, None, None)
    assert "A plain lens gives the electronics the image itself" in lens


@pytest.mark.parametrize(
    ("curve", "found"),
    [
        ("images,accuracy\n", "no row"),
        ("images\n100\n", "lacks the column accuracy"),
        ("images,accuracy\n100,0.9\n0,0.5\n", "above 0"),
        ("images,accuracy\n100,1.5\n", "between 0 and 1"),
        ("images,accuracy\n100,0.5\n", "estimate.accuracy 0.9544"),
    ],
)
def test_a_damaged_curve_is_named(promised, curve, found):
    path = promised / "estimate" / "learning_curve.csv"
    path.write_text(curve)
    with pytest.raises(ArtefactError, match=found) as caught:
        read_run(promised)
    assert str(path) in str(caught.value)
    assert "the estimate stage" in str(caught.value)


def test_a_missing_curve_or_number_is_named(promised):
    results = json.loads((promised / "results.json").read_text())
    del results["estimate"]["uncertainty"]
    (promised / "results.json").write_text(json.dumps(results))
    with pytest.raises(ArtefactError, match=r"lacks estimate\.uncertainty"):
        read_run(promised)


def test_scores_that_contradict_the_estimate_are_refused(promised):
    keep_scores(promised, np.arange(180), 27)
    path = promised / "estimate" / "scores.npz"
    arrays = dict(np.load(path))
    np.savez(path, **(arrays | {"scores": np.ones(180)}))
    with pytest.raises(ArtefactError, match=r"mean of its scores is 1\.0000"):
        read_run(promised)
