import torch

from hybridonn.optics.fabrication.zernike import NOLL, zernike


def test_the_polynomials_are_orthonormal_over_the_disc():
    """By the midpoint rule in polar coordinates: weights rho over the mean of rho."""
    rho = (torch.arange(400, dtype=torch.float64) + 0.5) / 400
    theta = torch.arange(64, dtype=torch.float64) * 2 * torch.pi / 64
    values = zernike(rho[:, None] * theta.cos(), rho[:, None] * theta.sin())
    gram = torch.einsum("art,brt,r->ab", values, values, rho) / rho.sum() / 64
    assert torch.allclose(gram, torch.eye(len(NOLL), dtype=torch.float64), atol=1e-4)
    means = torch.einsum("art,r->a", values, rho) / rho.sum() / 64
    assert torch.allclose(means, torch.zeros_like(means), atol=1e-4)
