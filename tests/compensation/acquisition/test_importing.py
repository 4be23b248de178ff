"""Imports of a made-up camera whose errors are known."""

import csv
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import affine_transform, shift

from hybridonn.compensation.acquisition.capture_dataset import name_image
from hybridonn.compensation.acquisition.importing import import_captures
from hybridonn.compensation.acquisition.manifest import read_manifest
from hybridonn.compensation.acquisition.placement import Camera
from hybridonn.compensation.acquisition.psf_import import psfs_from_frames
from hybridonn.compensation.acquisition.sources import ArraySource, FrameSource
from hybridonn.compensation.acquisition.splines import turn
from hybridonn.core.errors import DataError

PIXEL_M, BLACK, COUNTS, EXPOSURE_S = 5.86e-6, 300, 1500, 0.02
CAMERA = Camera(2.0, PIXEL_M)


def write_arrays(path, bench, train=24, test=6, moves=None, noise=0.0, **more):
    """Feature maps as arrays, each sub-optic shifted by its own amount."""
    ids = [name_image("student_train", n) for n in range(train)]
    ids += [name_image("test", n) for n in range(test)]
    dataset = bench.design.dataset
    images = [*dataset.student_train.images[:train], *dataset.test.images[:test]]
    light = np.stack([bench.light(image) for image in images])
    moves = np.zeros((light.shape[1], 2)) if moves is None else moves
    for number, (y, x) in enumerate(moves):
        light[:, number] = shift(light[:, number], (0, y, x), order=5)
    light += noise * light.std() * bench.rng.normal(size=light.shape)
    arrays = {"image_ids": np.array(ids), "positive": light[:, 0::2], "negative": light[:, 1::2]}
    np.savez(path, **arrays | more)
    return ids, light


def run_arrays(path, bench, **options):
    source = ArraySource(path, len(bench.design.kernels), bench.design.shape)
    return import_captures(source, bench.design, Camera(), **options)


def test_arrays_are_registered_and_their_gains_found_at_20_db(tmp_path, bench):
    made = bench()
    moves = made.rng.uniform(-3, 3, (6, 2))
    write_arrays(tmp_path / "a.npz", made, moves=moves, noise=0.1)
    done = run_arrays(tmp_path / "a.npz", made)
    found = [one.shift_pixels for one in done.geometry.registrations]
    np.testing.assert_allclose(found, moves, atol=0.1)
    gains = done.captures.gains.ravel() * made.gains
    np.testing.assert_allclose(gains / np.median(gains), 1, atol=0.015)
    assert done.captures.quality.min() > 0.95
    assert done.captures.positive.shape == (30, 3, 28, 28)
    assert done.captures.positive.dtype == np.float32
    assert done.captures.notes["images"] == {"student_train": 24, "test": 6}


def test_registered_captures_are_the_simulation_but_for_gains(tmp_path, bench):
    made = bench()
    moves = made.rng.uniform(-2, 2, (6, 2))
    ids, _ = write_arrays(tmp_path / "a.npz", made, moves=moves)
    captures = run_arrays(tmp_path / "a.npz", made).captures
    wanted = made.design.simulate(ids)[:, 0::2]
    got = captures.positive * captures.gains[None, :, 0, None, None]
    inner = (..., slice(5, -5), slice(5, -5))
    assert np.abs(got - wanted)[inner].max() < 0.02 * wanted.max()


def light_the_rim(bench):
    """Images whose border is as bright as their middle."""
    for part in ("student_train", "test"):
        images = getattr(bench.design.dataset, part).images
        images[:] = 110 + images // 2


@pytest.mark.parametrize("noise", [0.0, 0.003, 0.01])
def test_aligned_captures_keep_their_rim(tmp_path, bench, noise):
    made = bench()
    light_the_rim(made)
    _, light = write_arrays(tmp_path / "a.npz", made, noise=noise)
    captures = run_arrays(tmp_path / "a.npz", made).captures
    assert captures.quality.min() > 0.999
    assert captures.measured is not None
    assert captures.measured.all()
    pictures = np.stack([captures.positive, captures.negative], 2).reshape(light.shape)
    np.testing.assert_allclose(
        pictures / captures.notes["light_to_simulation"], light, atol=0.02 * light.max()
    )


def test_what_lies_outside_of_the_frames_is_left_out_of_every_fit(tmp_path, bench):
    made = bench()
    light_the_rim(made)
    moves = np.array([[2.0, 0], [0, -2], [0, 0], [1, 1], [0, 0], [-3, 3]])
    write_arrays(tmp_path / "a.npz", made, moves=moves)
    captures = run_arrays(tmp_path / "a.npz", made).captures
    assert captures.quality.min() > 0.999
    gains = captures.gains.ravel() * made.gains
    np.testing.assert_allclose(gains / np.median(gains), 1, atol=0.01)
    shares = [one["measured_share"] for one in captures.notes["sub_optics"]]
    wanted = [(28 - abs(y)) * (28 - abs(x)) / 784 for y, x in moves]
    np.testing.assert_allclose(shares, wanted, atol=1e-9)
    assert captures.positive.min() > 0


def test_swapped_sub_optics_are_paired(tmp_path, bench):
    made = bench()
    ids, light = write_arrays(tmp_path / "a.npz", made)
    np.savez(tmp_path / "b.npz", image_ids=ids, positive=light[:, 1::2], negative=light[:, 0::2])
    done = run_arrays(tmp_path / "b.npz", made)
    assert done.geometry.order.tolist() == [1, 0, 3, 2, 5, 4]
    assert "0+ was found at 0-" in done.captures.notes["paired_otherwise"]
    straight = run_arrays(tmp_path / "a.npz", made)
    np.testing.assert_allclose(done.captures.positive, straight.captures.positive, rtol=1e-5)


def test_dark_flat_and_exposure_of_arrays_are_corrected(tmp_path, bench):
    made = bench()
    ids, light = write_arrays(tmp_path / "a.npz", made)
    flat = made.rng.uniform(0.7, 1.3, (28, 28))
    exposure = made.rng.uniform(0.5, 2, len(ids))
    raw = light * flat * exposure[:, None, None, None] + 5
    fields = {"dark": np.full((28, 28), 5.0), "flat": flat + 5, "exposure_s": exposure}
    arrays = {"image_ids": ids, "positive": raw[:, 0::2], "negative": raw[:, 1::2]}
    np.savez(tmp_path / "b.npz", **arrays, **fields)
    plain, corrected = (run_arrays(tmp_path / n, made).captures for n in ("a.npz", "b.npz"))
    np.testing.assert_allclose(corrected.positive, plain.positive, atol=1e-3)


def test_images_out_of_order_are_named(tmp_path, bench):
    made = bench()
    ids, light = write_arrays(tmp_path / "a.npz", made)
    late = [*ids[:5], *ids[6:], ids[5]]  # one frame was lost: the rest moved up
    np.savez(tmp_path / "b.npz", image_ids=late, positive=light[:, ::2], negative=light[:, 1::2])
    with pytest.raises(DataError, match=r"out of order.*most are 1 earlier"):
        run_arrays(tmp_path / "b.npz", made)


def test_test_images_move_nothing_that_is_fitted(tmp_path, bench):
    made = bench()
    ids, light = write_arrays(tmp_path / "a.npz", made)
    brighter = light.copy()
    brighter[24:] *= 1.7
    arrays = {"positive": brighter[:, 0::2], "negative": brighter[:, 1::2]}
    np.savez(tmp_path / "b.npz", image_ids=ids, **arrays)
    one, other = (run_arrays(tmp_path / name, made).captures for name in ("a.npz", "b.npz"))
    np.testing.assert_array_equal(one.gains, other.gains)
    np.testing.assert_array_equal(one.positive[:24], other.positive[:24])


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda a: a | {"positive": a["positive"][:, :2]}, "made for another run"),
        (lambda a: a | {"positive": a["positive"][:-1]}, "has the shape"),
        (lambda a: {"image_ids": a["image_ids"]}, "lacks the array positive, negative"),
        (lambda a: a | {"image_ids": np.full(30, "test-00001")}, "more than once"),
        (lambda a: a | {"image_ids": [f"test-{n:05d}" for n in range(30)]}, "name no image"),
        (lambda a: {k: v[24:] for k, v in a.items()}, "fewer than the 4 classes"),
        (lambda a: {k: v[22:] for k, v in a.items()}, "2 captures are not of test images"),
        (lambda a: a | {"image_ids": [f"x{n}" for n in range(30)]}, "is no image id"),
        (lambda a: a | {"negative": np.full_like(a["negative"], np.nan)}, "not finite"),
        (lambda a: a | {"exposure_s": np.zeros(30)}, "above 0"),
        (lambda a: a | {"flat": np.zeros((28, 28))}, "784 values of flat"),
        (lambda a: a | {"flat": np.full((28, 28), np.inf)}, "flat holds 784 values that are not"),
        (lambda a: a | {"dark": np.full((28, 28), "x")}, "dark holds <U1"),
        (lambda a: a | {"dark": np.float64(3)}, "dark has the shape"),
        (lambda a: a | {"exposure_s": np.full(30, np.inf)}, "above 0"),
        (lambda a: a | {"exposure_s": np.full(30, "1")}, "exposure_s holds <U1"),
        (lambda a: a | {"exposure_s": np.full(30, 1e-320)}, "is not finite"),
        (lambda a: a | {"positive": a["positive"].astype(str)}, "positive holds <U32"),
        (lambda a: a | {"positive": a["positive"] + 1j}, "positive holds complex"),
        (lambda a: a | {"positive": np.float64(3)}, "positive has the shape"),
        (lambda a: a | {"image_ids": np.array("test-00001")}, "must be texts"),
        (lambda a: a | {"image_ids": np.arange(30)}, "must be texts"),
        (lambda a: a | {"image_ids": np.full(30, b"test-00001")}, "must be texts"),
        (lambda a: a | {"image_ids": np.full(30, "test-" + "9" * 5000)}, "is no image id|once"),
    ],
)
def test_bad_arrays_are_refused(tmp_path, bench, change, found):
    made = bench()
    ids, light = write_arrays(tmp_path / "a.npz", made)
    arrays = {"image_ids": np.array(ids), "positive": light[:, ::2], "negative": light[:, 1::2]}
    np.savez(tmp_path / "b.npz", **change(arrays))
    with pytest.raises(DataError, match=found):
        run_arrays(tmp_path / "b.npz", made)


def test_captures_of_noise_do_not_fit_the_run(tmp_path, bench):
    made = bench()
    ids, _ = write_arrays(tmp_path / "a.npz", made)
    noise = made.rng.random((2, 30, 3, 28, 28))
    np.savez(tmp_path / "b.npz", image_ids=ids, positive=noise[0], negative=noise[1])
    with pytest.raises(DataError, match=r"out of order|do not agree"):
        run_arrays(tmp_path / "b.npz", made)


def test_captures_behind_other_kernels_do_not_fit_the_run(tmp_path, bench):
    # Captures of one image are alike behind any kernels: the order of the images is right.
    made, other = bench(), bench()
    own, others = (
        torch.randn(3, 1, 7, 7, generator=torch.Generator().manual_seed(seed)) for seed in (11, 12)
    )
    made.design = replace(made.design, kernels=own)
    other.design = replace(made.design, kernels=others)
    write_arrays(tmp_path / "a.npz", other)
    with pytest.raises(DataError, match=r"not behind the kernels of this run: .* needed 0.4"):
        run_arrays(tmp_path / "a.npz", made)
    write_arrays(tmp_path / "b.npz", made)
    assert run_arrays(tmp_path / "b.npz", made).captures.quality.min() > 0.999


def test_pictures_that_no_frame_could_hold_are_refused(tmp_path, bench):
    made = bench()
    write_arrays(tmp_path / "a.npz", made)
    source = ArraySource(tmp_path / "a.npz", 3, made.design.shape)
    with pytest.raises(
        DataError, match=r"capture has 28000000000 x 28000000000, .* 28 x 28; check"
    ):
        import_captures(source, made.design, Camera(1e9))


class Mosaic:
    """A camera over the whole metasurface, turned, shifted and mirrored as stated."""

    def __init__(self, bench, folder, mirrored=False, turned_rad=0.0, moved=(0.0, 0.0)):
        self.bench, self.folder, self.mirrored = bench, folder, mirrored
        self.turned_rad, self.moved = turned_rad, moved
        folder.mkdir(exist_ok=True)
        self.shape = (360, 580)
        rng = np.random.default_rng(9)
        self.flat = (
            1 + 0.2 * np.sin(np.arange(self.shape[1]) / 90) + 0.02 * rng.normal(size=self.shape)
        )
        self.hot = rng.random(self.shape) < 1e-4
        self.rows = []

    def light(self, image):
        frame = np.zeros(self.shape)
        used = sorted(
            (site for site in self.bench.design.layout.sites if site.kernel is not None),
            key=lambda site: (site.kernel, -site.sign),
        )
        for site, picture in zip(used, self.bench.light(image), strict=True):
            fine = np.kron(picture, np.ones((2, 2)))
            row = (self.shape[0] - 1) / 2 - site.y_m / PIXEL_M - (len(fine) - 1) / 2
            column = (self.shape[1] - 1) / 2 + site.x_m / PIXEL_M - (fine.shape[1] - 1) / 2
            r, c = round(row), round(column)
            frame[r : r + fine.shape[0], c : c + fine.shape[1]] += fine
        back = turn(-self.turned_rad)
        centre = (np.array(self.shape) - 1) / 2
        offset = centre - back @ (centre + np.array(self.moved))
        return affine_transform(frame, back, offset, order=1)

    def take(self, light, image_id, exposure_s=EXPOSURE_S, name=None):
        rng = self.bench.rng
        photons = COUNTS * light * self.flat * exposure_s / EXPOSURE_S
        raw = BLACK + photons + 8 * rng.normal(size=self.shape) + 20000 * self.hot
        raw = raw[:, ::-1] if self.mirrored else raw
        name = name or f"{image_id}_{len(self.rows)}.tif"
        import tifffile

        tifffile.imwrite(self.folder / name, raw.clip(0, 65535).astype(np.uint16))
        self.rows.append({"frame": name, "image_id": image_id, "exposure_s": exposure_s})

    def take_all(self, train=10, test=3):
        dark = np.zeros(self.shape)
        for _ in range(3):
            self.take(dark, "dark")
            self.take(dark + 10, "flat")
        point = np.zeros((1, 28, 28))
        point[:, 14, 14] = 255
        self.take(4 * self.light(point), "point")
        dataset = self.bench.design.dataset
        for n in range(train):
            self.take(self.light(dataset.student_train.images[n]), name_image("student_train", n))
        for n in range(test):
            self.take(self.light(dataset.test.images[n]), name_image("test", n))
        return self.write()

    def write(self):
        with (self.folder / "manifest.csv").open("w", newline="") as file:
            table = csv.DictWriter(file, ["frame", "image_id", "exposure_s"])
            table.writeheader()
            table.writerows(self.rows)
        return self


def run_frames(folder, bench, **options):
    manifest = read_manifest(folder / "manifest.csv", len(bench.design.kernels))
    source = FrameSource(manifest)
    return source, import_captures(source, bench.design, CAMERA, **options)


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_mosaic_is_found_cut_and_corrected(tmp_path, bench, mirrored):
    made = bench()
    Mosaic(made, tmp_path, mirrored, np.radians(1.5), (7.0, -11.0)).take_all()
    source, done = run_frames(tmp_path, made)
    captures = done.captures
    assert captures.quality.min() > 0.97
    gains = captures.gains.ravel() * made.gains
    np.testing.assert_allclose(gains / np.median(gains), 1, atol=0.03)
    assert captures.notes["mounting"].startswith("mirrored" if mirrored else "upright")
    assert captures.notes["hot_or_dead_pixels"] >= 10
    wanted = made.design.simulate(captures.image_ids.tolist())
    got = captures.negative * captures.gains[None, :, 1, None, None]
    inner = (..., slice(3, -3), slice(3, -3))
    assert np.abs(got - wanted[:, 1::2])[inner].mean() < 0.02 * wanted.max()
    psfs = psfs_from_frames(source, done.geometry, made.design)
    kernels = made.design.kernels.numpy()[..., ::-1, ::-1]
    signed = psfs[:, 0, :, 2:-2, 2:-2] / made.gains[0::2, None, None, None]
    signed -= psfs[:, 1, :, 2:-2, 2:-2] / made.gains[1::2, None, None, None]
    assert np.corrcoef(signed.ravel(), kernels.ravel())[0, 1] > 0.97


@pytest.fixture(scope="module")
def taken(tmp_path_factory):
    """One finished folder of captures, to be copied and spoilt."""
    return tmp_path_factory.mktemp("frames")


def test_bad_frames_are_each_named(tmp_path, bench, taken):
    import tifffile

    made = bench()
    camera = Mosaic(made, taken).take_all(train=6, test=0)
    first = next(row["frame"] for row in camera.rows if row["image_id"] == "student_train-00000")

    def spoil(change, found, cure, **options):
        folder = tmp_path / "spoilt"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(taken, folder)
        change(folder)
        with pytest.raises(DataError, match=found) as error:
            run_frames(folder, made, **options)
        assert cure in str(error.value)

    picture = tifffile.imread(taken / first)
    rows = (taken / "manifest.csv").read_text()

    def rewrite(old, new):
        return lambda folder: (folder / "manifest.csv").write_text(rows.replace(old, new))

    def put(values):
        return lambda folder: tifffile.imwrite(folder / first, values)

    bright = picture.copy()
    bright[100:200] = 65535
    spoil(lambda f: (f / first).unlink(), "1 of 13 frames are not there.*00000", "take them again")
    spoil(put(bright), "1 frames are saturated", "--skip-bad")
    spoil(put(picture[:-2]), "another size or bit depth", "one setting")
    spoil(put((picture // 256).astype(np.uint8)), "another size or bit depth", "one setting")
    spoil(lambda f: (f / first).write_bytes(b"no"), "1 frames cannot be read", "take them again")
    spoil(rewrite("student_train-00001,", "student_train-00000,"), "captured more than", "keep one")
    spoil(rewrite("student_train-00001,", "train-1,"), "1 rows cannot be used", "mend them")
    spoil(rewrite("student_train-00001,", "validation-00077,"), "1 image ids name no", "run")
    spoil(rewrite("dark,0.02", "dark,0.03"), "no dark frame has an exposure of 0.02", "take a")
    spoil(rewrite(",0.02\n", ",no\n"), "13 rows cannot be used", "and 8 more")
    spoil(rewrite("exposure_s", "time"), "lacks the column exposure_s", "first line")
    spoil(lambda f: (f / "manifest.csv").unlink(), "is missing", "captures template")


def test_saturated_images_are_left_out_on_request(tmp_path, bench):
    import tifffile

    made = bench()
    camera = Mosaic(made, tmp_path).take_all(train=8, test=0)
    name = next(row["frame"] for row in camera.rows if row["image_id"] == "student_train-00003")
    bright = tifffile.imread(tmp_path / name)
    bright[100:200] = 65535
    tifffile.imwrite(tmp_path / name, bright)
    _, done = run_frames(tmp_path, made, skip_bad=True)
    assert done.captures.notes["skipped_images"] == 1
    assert "student_train-00003" not in done.captures.image_ids
    assert len(done.captures) == 7


def test_images_that_look_like_others_tell_of_the_scale_of_frames(tmp_path, bench):
    made = bench()
    Mosaic(made, tmp_path, False, 0.0, (0.0, 0.0)).take_all()
    path = tmp_path / "manifest.csv"
    rows = path.read_text().splitlines()
    names = [row.split(",") for row in rows]
    shown = [k for k, row in enumerate(names) if row[1].startswith(("test-", "student_train-"))]
    images = [names[k][1] for k in shown]
    for k, image in zip(shown, images[::-1], strict=True):
        names[k][1] = image
    path.write_text("\n".join(",".join(row) for row in names))
    with pytest.raises(DataError, match=r"out of order.*and --pixels-per-feature and --camera-pix"):
        run_frames(tmp_path, made)
