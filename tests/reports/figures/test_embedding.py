import numpy as np

from hybridonn.reports.artefacts.embedding import Embedding
from hybridonn.reports.figures.embedding import draw_embedding
from hybridonn.reports.figures.save import render_figure


def embedding(classes, images=200):
    rng = np.random.default_rng(0)
    return Embedding(rng.normal(size=(images, 2)), rng.integers(0, classes, images))


def test_every_image_is_drawn_in_the_colour_of_its_class():
    pair = {"teacher": embedding(10), "student": embedding(10, 50)}
    figure = draw_embedding(pair, list("0123456789"))
    for axes, points in zip(figure.axes, pair.values(), strict=True):
        for index, collection in enumerate(axes.collections):
            expected = points.positions[points.labels == index]
            assert np.array_equal(np.asarray(collection.get_offsets()), expected)
        assert len({tuple(item.get_facecolor()[0]) for item in axes.collections}) == 10
    legend = figure.legends[0]
    assert [text.get_text() for text in legend.get_texts()] == list("0123456789")


def test_a_class_without_images_and_many_classes_can_be_drawn():
    few = Embedding(np.array([[0.0, 1.0]]), np.array([0]))
    assert len(render_figure(draw_embedding({"student": few}, ["a", "b"]), "png", {})) > 5000
    many = draw_embedding({"student": embedding(100)}, [f"class {index}" for index in range(100)])
    assert len(render_figure(many, "png", {})) > 20000
