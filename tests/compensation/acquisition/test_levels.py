"""At which value cameras saturate, against frames that were clipped on purpose."""

import numpy as np
import pytest
from tifffile import imwrite

from hybridonn.compensation.acquisition.corrections import find_step
from hybridonn.compensation.acquisition.levels import find_levels, tally
from hybridonn.compensation.acquisition.manifest import read_manifest
from hybridonn.compensation.acquisition.sources import FrameSource
from hybridonn.core.errors import DataError

RNG = np.random.default_rng(0)


def light(top, count=3, shape=(64, 64)):
    """Broad light of which a few per cent of the pixels pass the top."""
    return RNG.gamma(2.0, 0.22 * top, (count, *shape))


def look(frames, bits=None, alignment=None, exposures=None):
    """Whether each frame is saturated, and at which level."""
    exposures = exposures or [0.01] * len(frames)
    tallies = [tally(one, exposure) for one, exposure in zip(frames, exposures, strict=True)]
    levels = find_levels(tallies, bits, alignment)
    return [levels.reaches(one) and one.share() > 0 for one in tallies], levels


@pytest.mark.parametrize("bits", [8, 10, 12, 14])
@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("stated", ["all", "bits", "side", "nothing"])
def test_a_depth_is_stated_or_recognised(bits, side, stated):
    full, shift = 2**bits - 1, 16 - bits if side == "left" else 0
    clipped = np.minimum(light(full), full).astype(np.uint16) << shift
    dim = np.minimum(light(full) / 5, 0.9 * full).astype(np.uint16) << shift
    said = (
        bits if stated in ("all", "bits") else None,
        side if stated in ("all", "side") else None,
    )
    found, levels = look(clipped, *said)
    assert found == [True] * 3
    assert (levels.bits, levels.alignment, levels.full_scale) == (bits, side, full << shift)
    how = "as stated" if said[0] else "recognised from the frames"
    assert f"{bits} bits, {side}-aligned, {how}: saturated at {full << shift}" in levels.describe()
    found, levels = look([*dim, clipped[0]], *said)
    assert found == [False] * 3 + [True]
    found, levels = look(dim, *said)
    assert found == [False] * 3


def test_eight_bits_are_those_of_the_file():
    found, levels = look(np.minimum(light(255), 255).astype(np.uint8))
    assert found == [True] * 3
    found = "8 bits, right-aligned, as its files (the values show no fewer): saturated at 255"
    assert levels.describe() == f"camera: {found}"


@pytest.mark.parametrize("bits", [None, 12])
def test_other_levels_are_recognised_by_how_often_they_stand(bits):
    raw = np.minimum(light(4095), 4095)
    black = np.maximum(raw - 64, 0).astype(np.uint16)
    found, levels = look(black, bits)
    assert found == [True] * 3
    assert "clipped at 4031" in levels.describe()
    bright = np.repeat(light(4095, 1, (64, 64)), 4, 0)
    noisy = np.minimum(bright + RNG.normal(0, 20, (3, 4, 64, 64)), 4095).round()
    for average in (noisy.mean(1), noisy.mean(1).astype(np.float32) * 0.5 - 7):
        assert look(average)[0] == [True] * 3
    assert look((noisy.sum(1)).astype(np.uint16))[0] == [True] * 3
    dim = np.minimum(bright / 5, 4000) + RNG.normal(0, 20, (3, 4, 64, 64))
    for average in (dim.mean(1), dim.mean(1).clip(0).astype(np.uint16)):
        assert look(average)[0] == [False] * 3


def test_each_exposure_may_be_clipped_at_a_level_of_its_own():
    short, long = np.minimum(light(4095), 4000), np.minimum(light(4095), 3900)
    frames = [*short.astype(np.uint16), *long.astype(np.uint16)]
    found, levels = look(frames, exposures=[0.1] * 3 + [0.2] * 3)
    assert found == [True] * 6
    assert levels.clipped == {0.1: 4000, 0.2: 3900}


def test_even_light_is_not_saturated():
    flat = RNG.normal(3000, 30, (3, 64, 64)).astype(np.uint16)
    assert look(flat)[0] == [False] * 3
    without_noise = np.full((64, 64), 5700, np.uint16)
    assert look([without_noise] * 3)[0] == [False] * 3
    shown = np.full((64, 64), 700, np.uint16)  # a black level without noise, a white square
    shown[20:40, 20:40] = 5700
    assert look([shown] * 3)[0] == [False] * 3
    low = RNG.normal(100, 0.4, (3, 64, 64)).round().astype(np.uint8)  # little noise, coarse steps
    assert look(low)[0] == [False] * 3


def test_single_hot_pixels_are_not_light():
    frame = RNG.normal(3000, 30, (200, 200)).astype(np.uint16)
    frame[[5, 50, 150], [7, 70, 100]] = 65535
    assert look([frame])[0] == [False]
    frame[20:22, 30:33] = 65535
    assert look([frame])[0] == [True]


def test_one_saturated_picture_of_a_mosaic_is_enough():
    frame = RNG.normal(3000, 30, (1000, 1000)).astype(np.uint16)
    frame[500:505, 400:405] = 65535  # 25 of a million pixels, of a capture of 56 x 56
    one = tally(frame, 0.01)
    assert one.share() == 0
    assert one.share(56.0**2) == 25e-6


@pytest.mark.parametrize(
    ("values", "bits", "side", "found"),
    [
        ((0, 5000), 12, None, r"values up to 5000; state --bit-depth 13, or --alignment left"),
        ((0, 5000), 12, "right", r"right-aligned values end at 4095, and the frames hold .* 5000"),
        (
            (0, 65535),
            12,
            "left",
            r"left-aligned values end at 65520, .* 65535; state --bit-depth 16",
        ),
        ((0, 5), 20, None, r"--bit-depth 20: the frames are files of 16 bits"),
    ],
)
def test_what_the_frames_contradict_is_refused(values, bits, side, found):
    frames = np.array([values] * 2, np.uint16)[None]
    with pytest.raises(DataError, match=found):
        look(frames, bits, side)


def test_the_step_of_left_aligned_values_is_found():
    dark = RNG.normal(40, 2, (64, 64)).round().astype(np.uint16)
    assert find_step([dark, dark]) == 1
    assert find_step([dark << 4, dark << 4]) == 16
    assert find_step([np.full((4, 4), 512, np.uint16)]) == 1
    assert find_step([dark.astype(float)]) == 0


def write(folder, frames):
    lines = ["frame,image_id,exposure_s"]
    for number, (image_id, values) in enumerate(frames):
        imwrite(folder / f"{number}.tif", values)
        lines.append(f"{number}.tif,{image_id},0.01")
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")
    return read_manifest(folder / "manifest.csv", 2)


def shown(shift=0, clip=4095, count=3):
    frames = np.minimum(light(4095, count), clip).astype(np.uint16) << shift
    return [(f"test-{n:05d}", frame) for n, frame in enumerate(frames)]


@pytest.mark.parametrize("shift", [0, 4])
def test_dark_and_flat_pictures_of_a_camera_of_twelve_bits(tmp_path, shift):
    dark = RNG.normal(40, 1, (3, 64, 64)).round().astype(np.uint16) << shift
    flat = RNG.normal(2000, 30, (2, 64, 64)).astype(np.uint16) << shift
    frames = [*(("dark", one) for one in dark), *(("flat", one) for one in flat)]
    source = FrameSource(write(tmp_path, [*frames, *shown(shift)]))
    assert source.corrections.bad_pixels == 0
    assert set(source.find_saturated().values()) == {"test-00000", "test-00001", "test-00002"}
    assert source.levels.bits == 12


@pytest.mark.parametrize(
    ("kind", "cure"), [("flat", "with a shorter exposure"), ("dark", "with closed shutter")]
)
def test_a_saturated_flat_or_dark_is_refused(tmp_path, kind, cure):
    bright = np.minimum(RNG.normal(4095, 100, (64, 64)), 4095).astype(np.uint16)
    lit = RNG.normal(2000, 30, (64, 64)).astype(np.uint16)
    manifest = write(tmp_path, [(kind, bright), *shown(clip=3000), ("test-00009", lit)])
    with pytest.raises(DataError, match=rf"0\.tif is saturated in .* \(4095\); take the .*{cure}"):
        FrameSource(manifest, 12).find_saturated()


def test_the_colours_of_a_frame_saturate_each(tmp_path):
    frames = np.minimum(light(4095, 3), 3000)[..., None].repeat(3, -1) * [1, 0.5, 0.2]
    frames[1, 20:24, 20:24, 2] = 4095
    named = [(f"test-{n:05d}", one.astype(np.uint16)) for n, one in enumerate(frames)]
    source = FrameSource(write(tmp_path, named), 12)
    assert source.find_saturated() == {"1.tif": "test-00001"}
