import numpy as np
import pytest

from hybridonn.reports.figures.contact_sheet import draw_classes, draw_images, draw_masks


def values(count, channels=3, size=(12, 18), seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, channels, *size)).astype(np.uint8)


def shown(figure):
    return [axes for axes in figure.axes if axes.images]


@pytest.mark.parametrize("channels", [1, 3])
def test_a_row_a_class(channels):
    labels = np.arange(45) % 3
    figure = draw_classes("zoo", values(45, channels), labels, ("a", "b", "c"))
    assert len(shown(figure)) == 30
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert texts == ["a", "b", "c"]
    assert figure.get_suptitle() == "zoo: 45 training images"


def test_images_stand_in_the_row_of_their_class():
    images = values(60)
    labels = np.random.default_rng(1).integers(0, 3, 60)
    images[:, 0] = 10 * labels[:, None, None]
    figure = draw_classes("zoo", images, labels, ("a", "b", "c"))
    rows = [axes.get_subplotspec().rowspan.start for axes in shown(figure)]
    for axes, row in zip(shown(figure), rows, strict=True):
        assert (np.asarray(axes.images[0].get_array())[..., 0] == 10 * row).all()


def test_of_many_classes_some_are_shown():
    names = tuple(f"class {number}" for number in range(100))
    figure = draw_classes("zoo", values(100), np.arange(100), names)
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert len(texts) == 10
    assert (texts[0], texts[-1]) == ("class 0", "class 99")
    assert "10 of 100 classes" in figure.get_suptitle()


def test_masks_are_outlined_in_the_order_of_their_foreground():
    masks = np.zeros((40, 12, 18), np.uint8)
    for number, mask in enumerate(masks):
        mask.flat[: (7 * number) % 40 * 5] = 1
    figure = draw_masks("cells", values(40), masks, ("no", "nucleus"))
    titles = [float(axes.get_title().removesuffix(" %")) for axes in shown(figure)]
    assert len(titles) == 24
    assert titles == sorted(titles)
    assert titles[0] == 0
    assert titles[-1] == round(100 * 195 / 216, 1)
    # Without foreground there is no outline; else two lines, a dark edge and a bright one.
    outlines = [len(axes.collections) for axes in shown(figure)]
    assert outlines == [0] + [2] * 23
    assert "nucleus outlined" in figure.get_suptitle()


def test_a_single_image_with_its_mask():
    figure = draw_masks("one", values(1), np.ones((1, 12, 18), np.uint8), ("no", "yes"))
    assert [axes.get_title() for axes in shown(figure)] == ["100.0 %"]


def test_images_are_drawn_whatever_their_labels_are():
    figure = draw_images("depths", values(7), np.zeros((7, 12, 18), np.float32), ())
    assert len(shown(figure)) == 7
    assert figure.get_suptitle() == "depths: 7 training images"
