import math

import pytest
import torch

from hybridonn.estimation.resampling import bootstrap_error, jackknife_error


def test_bootstrap_gives_the_binomial_standard_error():
    right = torch.arange(2000) % 10 > 0
    found = bootstrap_error(right, seed=0, draws=4000)
    assert found == pytest.approx(math.sqrt(0.9 * 0.1 / 2000), rel=0.05)
    assert found == bootstrap_error(right, seed=0, draws=4000)
    assert found != bootstrap_error(right, seed=1, draws=4000)


def test_jackknife_of_a_mean_is_its_standard_error():
    # The mean of n numbers has the standard error std / sqrt(n): delete-d must find it.
    generator = torch.Generator().manual_seed(0)
    numbers = torch.randn(500, generator=generator, dtype=torch.float64)
    means = [
        float(numbers[torch.randperm(500, generator=generator)[:400]].mean()) for _ in range(3000)
    ]
    found = jackknife_error(means, 0.8)
    assert found == pytest.approx(float(numbers.std()) / math.sqrt(500), rel=0.05)
