"""Finished tiles are kept: an interrupted kernel goes on, damaged files are named."""

import math
from contextlib import nullcontext

import numpy as np
import pytest
import torch

from hybridonn.tangent import TangentError
from hybridonn.tangent.infinite import Dense, Flatten, Relu, infinite_kernels
from hybridonn.tangent.infinite.tiles import TILE

LAYERS = (Flatten(), Dense(), Relu(), Dense())


def images(count=TILE + 9):
    generator = torch.Generator().manual_seed(0)
    return torch.rand(count, 1, 2, 2, generator=generator, dtype=torch.float64)


class Counting:
    """A progress display that counts, and can stop the work after some steps."""

    def __init__(self, stop_at=math.inf):
        self.done, self.total, self.stop_at = 0, None, stop_at

    def bar(self, label, total):
        self.total = total
        return nullcontext(self.advance)

    def advance(self, steps=1):
        self.done += steps
        if self.done >= self.stop_at:
            raise KeyboardInterrupt


def test_an_interrupted_kernel_goes_on_where_it_was(tmp_path):
    x, options = images(), {"dtype": torch.float64, "folder": tmp_path}
    with pytest.raises(KeyboardInterrupt):
        infinite_kernels(LAYERS, x, progress=Counting(stop_at=TILE**2 + 1), **options)
    (kept,) = tmp_path.rglob("*.npz")
    with np.load(kept) as archive:
        marked = archive["kernel"] + 1  # a second call that computed it anew would not keep this
    np.savez(kept, kernel=marked)
    counting = Counting()
    resumed = infinite_kernels(LAYERS, x, progress=counting, **options)
    assert counting.done == counting.total
    expected = infinite_kernels(LAYERS, x, dtype=torch.float64)
    expected[:TILE, :TILE] += 1
    assert torch.equal(resumed, expected)
    assert not list(tmp_path.rglob("*.part"))


def test_other_images_have_a_folder_of_their_own(tmp_path):
    x, options = images(5), {"dtype": torch.float64, "folder": tmp_path}
    first = infinite_kernels(LAYERS, x, **options)
    assert not torch.allclose(infinite_kernels(LAYERS, x + 0.1, **options), first)
    assert len({path.parent for path in tmp_path.rglob("*.npz")}) == 2


def test_a_damaged_tile_is_named(tmp_path):
    infinite_kernels(LAYERS, images(3), folder=tmp_path)
    (path,) = tmp_path.rglob("*.npz")
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(TangentError, match=r"tile-0-0\.npz"):
        infinite_kernels(LAYERS, images(3), folder=tmp_path)


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    place = tmp_path / "file"
    place.write_text("")
    with pytest.raises(TangentError, match=str(place)):
        infinite_kernels(LAYERS, images(3), folder=place)
