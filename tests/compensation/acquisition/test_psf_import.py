"""Point spread functions as arrays: hot and negative pixels are named, or mended."""

import numpy as np
import pytest

from hybridonn.compensation.acquisition.psf_import import (
    find_hot,
    psfs_from_array,
    simulate_psfs,
)
from hybridonn.core.errors import DataError


def measure(made, seed=1):
    """What a chip of the design shows, (K, 2, C, 9, 9), a little blurred and noisy."""
    rng = np.random.default_rng(seed)
    psfs = simulate_psfs(made.design, 9)
    psfs = psfs * rng.uniform(0.8, 1.2, (len(psfs), 1, 1, 1)) * 40
    psfs = psfs + 0.005 * psfs.max() * rng.random(psfs.shape)
    return psfs.reshape(-1, 2, *psfs.shape[1:])


@pytest.mark.parametrize("suffix", ["npy", "npz"])
@pytest.mark.parametrize("channels", [1, 3])
def test_arrays_are_read_in_units_of_the_kernels(tmp_path, bench, suffix, channels):
    made, path = bench(channels), tmp_path / f"p.{suffix}"
    measured = measure(made)
    np.save(path, measured) if suffix == "npy" else np.savez(path, psfs=measured)
    psfs = psfs_from_array(path, made.design)
    assert psfs.shape == (3, 2, channels, 9, 9)
    assert psfs.dtype == np.float32
    # One scale for all: what is left are the gains of single sub-optics.
    ratio = psfs / np.maximum(measured, 1e-9)
    np.testing.assert_allclose(ratio[measured > 1], ratio[measured > 1][0], rtol=1e-5)
    wanted = simulate_psfs(made.design, 9).reshape(psfs.shape)
    assert np.corrcoef(psfs.ravel(), wanted.ravel())[0, 1] > 0.97


def test_a_kernel_upright_is_the_picture_of_a_point(bench):
    made = bench()
    point = made.design.simulate(["point"])[0]
    np.testing.assert_allclose(
        point[:, 11:18, 11:18], simulate_psfs(made.design, 7)[:, 0], rtol=1e-6
    )


def test_negative_values_are_named_and_mended_on_request(tmp_path, bench):
    made = bench()
    psfs = measure(made)
    psfs[1, 1, 0, 4, 4] = -0.3 * psfs.max()
    np.save(tmp_path / "p.npy", psfs)
    with pytest.raises(DataError, match=r"1 point spread functions have negative.*1- \(1 pixels"):
        psfs_from_array(tmp_path / "p.npy", made.design)
    assert psfs_from_array(tmp_path / "p.npy", made.design, mend=True).min() >= 0


def test_noise_of_a_sign_that_is_dark_by_design_is_no_negative_light(tmp_path, bench):
    made = bench()
    made.design.kernels[1] = made.design.kernels[1].abs()  # it has no negative part
    psfs = measure(made)
    psfs[1, 1] = 0.004 * psfs.max() * np.random.default_rng(0).normal(size=psfs[1, 1].shape)
    np.save(tmp_path / "p.npy", psfs)
    found = psfs_from_array(tmp_path / "p.npy", made.design)
    assert found[1, 1].max() < 0.02 * found.max()
    psfs[1, 1, 0, 4, 4] = -0.3 * psfs.max()
    np.save(tmp_path / "p.npy", psfs)
    with pytest.raises(DataError, match=r"have negative values: 1- \(1 pixels"):
        psfs_from_array(tmp_path / "p.npy", made.design)


def test_hot_pixels_are_named_and_mended_on_request(tmp_path, bench):
    made = bench()
    clean = measure(made)
    hot = clean.copy()
    hot[2, 0, 0, 0, 3] = hot[0, 1, 0, 1, 8] = 4 * clean.max()
    np.save(tmp_path / "p.npy", hot)
    with pytest.raises(DataError, match=r"2 point.*hot pixels: 0- \(1 pixels\), 2\+ \(1 pixels\)"):
        psfs_from_array(tmp_path / "p.npy", made.design)
    mended = psfs_from_array(tmp_path / "p.npy", made.design, mend=True)
    np.save(tmp_path / "q.npy", clean)
    plain = psfs_from_array(tmp_path / "q.npy", made.design)
    np.testing.assert_allclose(mended, plain, atol=0.05 * plain.max())


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda p: p[:2], "has the shape"),
        (lambda p: p[..., :8, :8], "P odd and at least 7"),
        (lambda p: p[..., 2:7, 2:7], "P odd and at least 7"),
        (lambda p: p * np.nan, "not finite"),
        (lambda p: -p, "negative"),
        (lambda p: p * 0, "looks like its kernel"),
    ],
)
def test_bad_arrays_are_refused(tmp_path, bench, change, found):
    made = bench()
    np.save(tmp_path / "p.npy", change(measure(made)))
    with pytest.raises(DataError, match=found):
        psfs_from_array(tmp_path / "p.npy", made.design)


def test_files_that_are_no_arrays_are_refused(tmp_path, bench):
    (tmp_path / "p.npy").write_text("no")
    with pytest.raises(DataError, match="cannot be read"):
        psfs_from_array(tmp_path / "p.npy", bench().design)
    np.savez(tmp_path / "p.npz", other=np.ones(3))
    with pytest.raises(DataError, match="lacks the array psfs"):
        psfs_from_array(tmp_path / "p.npz", bench().design)


def test_noise_of_a_dim_point_is_no_hot_pixel_and_a_hot_pixel_stays_one():
    generator = np.random.default_rng(0)
    simulated = np.zeros((400, 1, 11, 11))
    simulated[:, :, 4:7, 4:7] = 1.0
    noise = np.full((400, 1), 0.3)
    measured = simulated + 0.3 * generator.standard_normal(simulated.shape)
    assert find_hot(measured, simulated, np.zeros_like(noise)).any()
    assert not find_hot(measured, simulated, noise).any()
    measured[7, 0, 1, 1] = 20.0
    assert np.argwhere(find_hot(measured, simulated, noise)).tolist() == [[7, 0, 1, 1]]
