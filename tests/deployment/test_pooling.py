"""Adaptive pooling as matrices and windows is what torch computes."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from hybridonn.deployment.pooling import ExportablePooling, average, averaging_matrix, maximum

SIDES = st.integers(1, 40)


@settings(max_examples=60, deadline=None)
@given(rows=SIDES, columns=SIDES, to_rows=SIDES, to_columns=SIDES)
def test_both_are_those_of_torch(rows, columns, to_rows, to_columns) -> None:
    images = torch.randn(2, 3, rows, columns, generator=torch.Generator().manual_seed(0))
    size = (to_rows, to_columns)
    assert torch.allclose(average(images, size), F.adaptive_avg_pool2d(images, size), atol=2e-6)
    assert torch.equal(maximum(images, size), F.adaptive_max_pool2d(images, size))


@pytest.mark.parametrize("size", [3, (3, 5), (None, 4), [2, None], 1])
def test_every_form_of_a_size(size) -> None:
    images = torch.randn(1, 2, 7, 9, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(average(images, size), F.adaptive_avg_pool2d(images, size), atol=1e-6)


def test_rows_of_the_matrix_are_means() -> None:
    matrix = averaging_matrix(28, 6)
    assert matrix.shape == (6, 28)
    assert torch.allclose(matrix.sum(1), torch.ones(6))


def test_networks_are_computed_by_them_inside_of_the_context_alone() -> None:
    images = torch.randn(1, 2, 7, 9, generator=torch.Generator().manual_seed(0))
    layers = torch.nn.AdaptiveAvgPool2d(3), torch.nn.AdaptiveMaxPool2d((2, 3))
    outside = [layer(images) for layer in layers]
    with ExportablePooling():
        inside = [layer(images) for layer in layers]
        _, places = F.adaptive_max_pool2d(images, 3, return_indices=True)
    assert torch.allclose(inside[0], outside[0], atol=1e-6)
    assert torch.equal(inside[1], outside[1])
    assert places.dtype == torch.int64
