"""What is learnt from behind a chip: captures, and the twin's for the images beside them."""

import pytest
import torch

from hybridonn.compensation.calibration import calibrate
from hybridonn.compensation.capture_pair import capture_images
from hybridonn.compensation.capture_sampling import choose_captures
from hybridonn.compensation.fine_tuning_data import compute_features, draw_fine_tuning_data
from hybridonn.data import load_dataset
from hybridonn.networks.student import build_student
from hybridonn.pipeline.from_spec import lay_out_kernels, read_chip_errors
from hybridonn.spec import Compensation, Fabrication, read_spec
from hybridonn.tasks.classification import Classification


def errors_of(**stated):
    return read_chip_errors(Fabrication.model_validate(stated))


SPEC = read_spec(None, ("student.kernels=3", "student.kernel_size=3"))


@pytest.fixture(scope="module")
def digits():
    return load_dataset(SPEC.data)


@pytest.fixture(scope="module")
def student(digits):
    return build_student(SPEC.student, digits.image_shape, 10, seed=0).eval()


@pytest.fixture(scope="module")
def chip(student):
    errors = errors_of(brightness_fraction=0.3, shift_pixels=0.5)
    return student.frontend.fabricate(errors, lay_out_kernels(SPEC.optics, 3))


def draw(digits, chip, **settings):
    settings = Compensation(fraction=0.2, **settings)
    images = digits.student_train
    chosen = choose_captures(
        Classification().cover(images.labels, tuple(map(str, range(10)))), settings
    )
    return (
        settings,
        chosen,
        draw_fine_tuning_data(images, chosen, lambda i: capture_images(chip, i, 0), settings),
    )


def as_bytes(images):
    return [image.numpy().tobytes() for image in images]


def test_the_twin_sees_images_that_were_not_captured(digits, chip):
    images = digits.student_train
    _, chosen, data = draw(digits, chip, twin_fraction=0.5)
    rest = len(images) - len(chosen)
    assert len(data.others) == round(0.5 * rest)
    assert not set(as_bytes(data.others.images)) & set(as_bytes(images.images[chosen]))
    assert as_bytes(data.shown.images[-len(chosen) :]) == as_bytes(images.images[chosen])
    _, _, every = draw(digits, chip, twin_fraction=1.0)
    together = sorted(as_bytes(every.shown.images))
    assert together == sorted(as_bytes(images.images))


def test_without_a_twin_there_are_the_captures_alone(digits, chip, student):
    settings, chosen, data = draw(digits, chip)
    assert len(data.shown) == len(chosen)
    fit = calibrate(student.backend, data.captured, (torch.zeros(len(chosen), 3, 8, 8),), "none", 1)
    (seen,) = compute_features(settings, student, fit, data)
    assert torch.equal(seen, data.captured.subtract(torch.ones(3, 2))[0])


def test_what_the_twin_shows_is_what_the_chip_would_show(digits, chip, student):
    settings, chosen, data = draw(digits, chip, twin_fraction=0.3)
    fit = calibrate(student.backend, data.captured, (torch.zeros(len(chosen), 3, 8, 8),), "none", 1)
    (seen,) = compute_features(settings, student, fit, data)
    (truly,) = capture_images(chip, data.shown, 0).subtract(torch.ones(3, 2))
    assert torch.equal(seen[-len(chosen) :], truly[-len(chosen) :])
    assert float((seen - truly).norm() / truly.norm()) < 0.02
