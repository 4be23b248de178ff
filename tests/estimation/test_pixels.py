"""The estimate of masks: its parts against plain loops, and the whole on drawn discs."""

import pytest
import torch
from torch.nn import functional as F

from hybridonn.core.errors import DataError, SpecError
from hybridonn.estimation import Settings, pixels
from hybridonn.estimation.finite import through_dense
from hybridonn.estimation.neighbourhood import (
    covary,
    draw_sight,
    look,
    look_at_cells,
)
from hybridonn.estimation.pixels import Masked, estimate_masks
from hybridonn.spec import Student
from hybridonn.tasks.segmentation import Segmentation

PYRAMID = Student(
    backend="pyramid",
    branches=(
        {"kernels": 2, "binning": 1},
        {"kernels": 3, "binning": 2},
        {"kernels": 4, "binning": 4},
    ),
    hidden=(6, 9, 8),
    normalisation="batch",
)
FUSED = Student(
    backend="coarse_fine",
    branches=({"kernels": 2, "binning": 1}, {"kernels": 3, "binning": 4}),
    hidden=(4, 8),
    normalisation="batch",
)
COARSE = Student(kernels=4, kernel_size=3, stride=2, backend="upsampling", hidden=())


def make_discs(count, side=16, seed=0):
    """Discs whose grey value says nothing alone: the ground has bright dots as well."""
    generator = torch.Generator().manual_seed(seed)
    y, x, r = torch.rand(3, count, 1, 1, generator=generator)
    y, x, r = 4 + y * (side - 8), 4 + x * (side - 8), 2 + 3 * r
    grid = torch.arange(side)
    masks = (grid[:, None] - y) ** 2 + (grid - x) ** 2 < r**2
    scenes = 0.6 * masks + 0.4 * torch.rand(count, side, side, generator=generator)
    dots = torch.rand(count, side, side, generator=generator) < 0.12
    return Masked((scenes + 0.5 * dots).clamp(max=1)[:, None], masks.to(torch.uint8))


def estimate(student, train, test, **keys):
    return estimate_masks(student, train, test, 2, Segmentation().score, **keys)


@pytest.mark.parametrize("student", [PYRAMID, FUSED, COARSE], ids=lambda s: s.backend)
@pytest.mark.parametrize("step", [1, 3])
def test_covariances_are_those_of_what_the_cells_see(student, step):
    scenes = make_discs(3).scenes.double()
    sight = draw_sight(student, scenes, 0)
    side = 16 // sight.binnings[0]
    numbers = torch.arange(side**2).expand(3, -1)
    seen = look_at_cells(sight, scenes, numbers)
    landmarks = seen[0, ::7]
    for image, (covariance, variance) in enumerate(covary(sight, scenes, landmarks, step)):
        kept = seen[image].view(side, side, -1)[::step, ::step].flatten(0, 1)
        torch.testing.assert_close(covariance, kept @ landmarks.T)
        torch.testing.assert_close(variance, kept.square().sum(1))


def test_a_window_holds_the_rectified_pictures_around_a_pixel():
    scenes = make_discs(4).scenes.double()
    sight = draw_sight(PYRAMID, scenes, 0)
    pictures = sight.frontend(scenes)[0]
    mean, deviation = pictures.mean((0, 2, 3)), pictures.std((0, 2, 3), correction=0)
    rectified = ((pictures - mean[:, None, None]) / deviation[:, None, None]).relu()
    around = F.pad(rectified, [2] * 4)[:, :, 5:10, 7:12]  # of the pixel (5, 7)
    found = look(sight, scenes)[0][:, :, 5, 7]
    share = sight.shares[0]
    torch.testing.assert_close(found.square().sum(1), share * around.square().mean((1, 2, 3)))


def test_the_shares_follow_the_channels_of_the_pyramid():
    scenes = make_discs(2).scenes
    shares = [draw_sight(one, scenes, 0).shares for one in (PYRAMID, FUSED, COARSE)]
    assert shares[0] == pytest.approx((2 / 8, 6 / 8 * 3 / 12, 6 / 8 * 9 / 12))
    assert shares[1:] == [(0.5, 0.5), (1.0,)]


@pytest.mark.parametrize("backend", ["dense", "mine:Net"])
def test_a_backend_that_tells_of_no_neighbourhood_is_refused(backend):
    with pytest.raises(SpecError, match=f"'{backend}', which tells of no neighbourhood"):
        draw_sight(Student(backend=backend), make_discs(2).scenes, 0)


def test_columns_that_are_not_the_first_rows_have_variances_of_their_own():
    generator = torch.Generator().manual_seed(0)
    rows, columns = torch.randn(2, 7, 5, generator=generator, dtype=torch.float64)
    both = torch.cat([columns, rows])
    whole = through_dense(2, both @ both.T, both.square().sum(1), None)
    variances = rows.square().sum(1), columns.square().sum(1)
    found = through_dense(2, rows @ columns.T, variances[0], None, variances[1])
    torch.testing.assert_close(found, whole[7:, :7])


@pytest.mark.parametrize("student", [PYRAMID, FUSED, COARSE], ids=lambda s: s.backend)
def test_discs_are_found_better_than_by_a_trivial_answer(student):
    train, test = make_discs(48), make_discs(30, seed=1)
    found = estimate(student, train, test, draws=2)
    empty = F.one_hot(torch.zeros_like(test.masks).long(), 2).movedim(-1, 1)
    trivial = float(Segmentation().score(empty, test.masks).mean())
    assert found.accuracy > trivial + 0.1
    assert 0 < found.uncertainty < 0.1
    assert found.scores.shape == (len(test.masks),)
    assert float(found.scores.mean()) == pytest.approx(found.accuracy)


def test_it_grows_with_the_images():
    settings = Settings(curve_sizes=(2, 12))
    found = estimate(PYRAMID, make_discs(60), make_discs(30, seed=1), draws=1, settings=settings)
    values = [point.accuracy for point in found.learning_curve]
    assert [point.images for point in found.learning_curve] == [2, 12, 60]
    assert values[0] < values[1] < values[2]
    assert values[2] == found.accuracy


def test_a_single_kernel_sees_less_than_many():
    train, test = make_discs(40), make_discs(30, seed=1)
    single = COARSE.model_copy(update={"kernels": 1})  # its kernel matrix has rank 9
    one, many = (estimate(s, train, test, draws=1).accuracy for s in (single, PYRAMID))
    assert one < many


def test_the_same_seed_gives_the_same_number():
    train, test = make_discs(20), make_discs(10, seed=1)
    one, other = (estimate(PYRAMID, train, test, draws=1) for _ in range(2))
    assert one.accuracy == other.accuracy
    assert one.uncertainty == other.uncertainty


def test_many_test_pixels_are_thinned_to_a_grid(monkeypatch):
    train, test = make_discs(30), make_discs(30, seed=1)
    whole = estimate(PYRAMID, train, test, draws=1)
    monkeypatch.setattr(pixels, "TESTED", 30 * 16 * 16 // 4)
    thinned = estimate(PYRAMID, train, test, draws=1)
    assert thinned.accuracy == pytest.approx(whole.accuracy, abs=0.05)
    assert float(thinned.scores.mean()) == pytest.approx(thinned.accuracy)
    assert thinned.scores.shape == whole.scores.shape


@pytest.mark.parametrize(
    ("keys", "error", "found"),
    [
        ({"draws": 0}, SpecError, "draws is 0"),
        ({"settings": Settings(memory_gb=0.001)}, SpecError, r"memory_gb is 0\.001"),
    ],
)
def test_what_cannot_be_done_is_refused(keys, error, found):
    with pytest.raises(error, match=found):
        estimate(PYRAMID, make_discs(10), make_discs(4), **keys)


def test_one_training_image_is_too_few():
    with pytest.raises(DataError, match="there are 1 training"):
        estimate(PYRAMID, make_discs(1), make_discs(4))
