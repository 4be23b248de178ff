import numpy as np

from hybridonn.distillation.best_epoch import find_best
from hybridonn.reports.figures.curves import draw_curves
from hybridonn.reports.figures.save import render_figure
from hybridonn.tasks.classification import Classification


def table(**columns):
    return {name: np.array(values, dtype=float) for name, values in columns.items()}


def titles(figure):
    return {axes.get_title(loc="left") for axes in figure.axes} - {""}


def test_terms_that_are_recorded_are_drawn():
    student = table(
        epoch=[1, 2, 3],
        loss=[3, 2, 1],
        task=[1.5, 1, 0.5],
        kd=[np.nan] * 3,
        ntk=[0.4, 0.3, 0.2],
        alignment=[0.6, 0.7, 0.8],
        validation_accuracy=[0.5, 0.7, 0.6],
    )
    teacher = table(epoch=[1, 2], loss=[2, 1], validation_accuracy=[0.6, 0.9])
    figure = draw_curves({"teacher": teacher, "student": student}, Classification())
    assert titles(figure) == {
        "Validation accuracy",
        "NTK alignment with the teacher",
        "Loss of the student",
        "Loss of the teacher",
    }
    panel = next(a for a in figure.axes if a.get_title(loc="left") == "Loss of the student")
    legend = panel.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["total", "task", "NTK"]
    assert panel.get_yscale() == "log"
    rates = figure.axes[0]
    best = [line for line in rates.lines if line.get_marker() == "o"]
    assert sorted((*line.get_xdata(), *line.get_ydata()) for line in best) == [(2, 70), (2, 90)]


def test_no_legend_lies_on_curves():
    epochs = np.arange(1, 9)
    falling = table(
        epoch=epochs, loss=9 / epochs, task=5 / epochs, ntk=1 / epochs, validation_accuracy=epochs
    )
    figure = draw_curves({"teacher": falling, "student": falling}, Classification())
    figure.canvas.draw()
    legends = [(axes, axes.get_legend()) for axes in figure.axes if axes.get_legend()]
    assert len(legends) == 3
    for axes, legend in legends:
        assert legend.get_window_extent().y1 < axes.get_window_extent().y0


def test_a_weight_that_is_found_has_a_panel():
    student = table(epoch=[1, 2], loss=[3, 2], ntk=[0.4, 0.3], ntk_weight=[2, 30])
    teacher = table(epoch=[1, 2], loss=[2, 1])
    figure = draw_curves({"teacher": teacher, "student": student}, Classification())
    assert "Weight of the NTK term" in titles(figure)
    panel = next(a for a in figure.axes if a.get_title(loc="left") == "Weight of the NTK term")
    assert panel.lines[0].get_ydata().tolist() == [2, 30]


def test_what_is_not_recorded_has_no_panel():
    figure = draw_curves({"student": table(epoch=[1], loss=[1.0])}, Classification())
    assert titles(figure) == {"Loss of the student"}
    assert len(render_figure(figure, "png", {})) > 5000


def test_a_loss_that_is_not_positive_is_drawn_on_an_even_scale():
    figure = draw_curves({"student": table(epoch=[1, 2], loss=[1.0, 0.0])}, Classification())
    assert figure.axes[0].get_yscale() == "linear"


def test_a_loss_that_is_all_task_is_drawn_once():
    student = table(epoch=[1, 2], loss=[1.0, 0.5], task=[1.0, 0.5])
    panel = draw_curves({"student": student}, Classification()).axes[0]
    assert len(panel.lines) == 1


def test_the_dot_is_on_the_epoch_that_is_kept():
    student = table(
        epoch=[1, 2, 3, 4],
        loss=[4, 3, 2, 1],
        validation_accuracy=[0.5, 0.9, 0.9, 0.8],  # of equals the lower loss is kept
        validation_loss=[2, 0.8, 0.7, 0.6],
        alignment=[0.6, 0.7, 0.8, 0.9],  # still rises when the best epoch is over
    )
    rates, alignment, _ = draw_curves({"student": student}, Classification()).axes[:3]
    for axes, value in ((rates, 90), (alignment, 0.8)):
        dots = [line for line in axes.lines if line.get_marker() == "o"]
        assert [(*line.get_xdata(), *line.get_ydata()) for line in dots] == [(3, value)]


def test_of_equal_epochs_the_first_with_the_lowest_loss_is_kept():
    history = [
        {"validation_miou": 0.5, "validation_loss": 1.0},
        {"validation_miou": 0.7, "validation_loss": 0.9},
        {"validation_miou": 0.7, "validation_loss": 0.8},
        {"validation_miou": 0.7, "validation_loss": 0.8},
    ]
    assert find_best(history, "miou") == 2


def test_losses_that_hardly_fall_have_ticks_that_can_be_read():
    student = table(epoch=[1, 2, 3], loss=[1.3, 1.0, 0.62])
    axes = draw_curves({"student": student}, Classification()).axes[0]
    low, high = axes.get_ylim()
    assert axes.get_yscale() == "log"
    assert sum(low <= tick <= high for tick in axes.get_yticks()) >= 3
