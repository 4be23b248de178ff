"""The loss of images against images taken by the frontend itself."""

import pytest
import torch

from hybridonn.networks.frontends.metasurface import MetasurfaceFrontend
from hybridonn.optics.metasurface.image_error import MOST_PIXELS, PictureLoss, choose_scenes
from hybridonn.optics.metasurface.targets import Targets, split_kernels

WINDOW = 9


def some(seed=0, count=2):
    generator = torch.Generator().manual_seed(seed)
    targets = split_kernels(torch.randn(count, 3, 5, 5, generator=generator).double())
    scenes = torch.rand(4, 3, 8, 6, generator=generator).double()
    psfs = torch.rand(count, 2, 3, WINDOW, WINDOW, generator=generator).double() * 0.1
    psfs[..., 2:7, 2:7] += targets.parts
    return targets, scenes, psfs


def test_it_is_what_the_frontend_gets_wrong():
    targets, scenes, psfs = some()
    loss = PictureLoss(targets, WINDOW, scenes, weight=0.3)
    gains = loss.gains(psfs)
    ideal = targets.parts * targets.scale[:, None, :, None, None]
    found = 0.0
    for k in range(2):
        wanted = ideal[k, 0] - ideal[k, 1]
        got = psfs[k] * gains[k][..., None, None]
        signed = got[0] - got[1]
        missed = signed.clone()
        missed[:, 2:7, 2:7] -= wanted
        found += missed.square().sum() / wanted.square().sum()
        colours, kernels = [], []
        for c in range(3):  # a colour at a time: the scene dark in the others
            alone = torch.zeros_like(scenes)
            alone[:, c] = scenes[:, c]
            (real,) = MetasurfaceFrontend(psfs[k : k + 1], 5, 1, gains[k : k + 1])(alone)
            (best,) = MetasurfaceFrontend(ideal[k : k + 1], 5)(alone)
            colours.append(real - best)
            kernels.append(best)
        together, apart = sum(colours), torch.stack(colours)
        mean = together.square().mean() + apart.square().sum(0).mean()
        found += 0.3 * mean / sum(kernels).var()
    torch.testing.assert_close(loss(psfs), found)


@pytest.mark.parametrize("seen", [True, False])
def test_no_other_gains_are_better_colour_by_colour(seen):
    targets, scenes, psfs = some(count=1)
    grey = Targets(targets.parts[:, :, :1], targets.scale[:, :1])
    psfs = psfs[:, :, :1]
    loss = PictureLoss(grey, WINDOW, scenes[:, :1] if seen else None)
    best = loss.gains(psfs)

    class Held(PictureLoss):
        def _solve(self, psfs, pictures):
            return self.held

    other = Held(grey, WINDOW, scenes[:, :1] if seen else None)
    for change in ((1.02, 1.0), (0.98, 1.0), (1.0, 1.02), (1.0, 0.98)):
        other.held = best * torch.tensor(change).view(1, 2, 1)
        assert other(psfs) > loss(psfs)


def test_scenes_are_drawn_once_and_not_too_many():
    images = torch.arange(600).view(600, 1, 1, 1).expand(600, 3, 64, 64)
    drawn = choose_scenes(images, 3)
    assert len(drawn) == MOST_PIXELS // 64**2
    assert len(set(drawn[:, 0, 0, 0].tolist())) == len(drawn)
    assert torch.equal(drawn, choose_scenes(images, 3))
    assert not torch.equal(drawn, choose_scenes(images, 4))
