import pytest
import torch

from hybridonn import spec
from hybridonn.data.transforms.mixing import mix
from hybridonn.distillation.step import Batch, Step
from hybridonn.distillation.terms.task import task_loss
from hybridonn.spec import Augmentation
from hybridonn.tasks.classification import Classification
from hybridonn.tasks.segmentation import Segmentation


def draw(task, labels, seed=0, size=8, **alphas):
    torch.manual_seed(0)
    scene = torch.rand(6, 2, size, size)
    drawn = torch.Generator().manual_seed(seed)
    return scene, *mix(scene, labels, task, Augmentation(**alphas), drawn)


def test_mixup_is_the_weighted_sum_and_its_loss_that_of_soft_labels():
    labels = torch.arange(6) % 3
    scene, mixed, kept, mixture = draw(Classification(), labels, mixup_alpha=0.4)
    assert mixture is not None
    share, partners = mixture.share, mixture.partners
    torch.testing.assert_close(mixed, share * scene + (1 - share) * scene[partners])
    assert torch.equal(kept, labels)
    logits = torch.randn(6, 3)
    step = Step(torch.nn.Identity(), Batch(mixed, labels, torch.arange(6), 0, mixture),
                Classification(0.1), spec.Distillation(method="none"))  # fmt: skip
    step.logits = logits
    truth = torch.eye(3)[labels]
    soft = share * truth + (1 - share) * truth[partners]
    wanted = torch.nn.functional.cross_entropy(logits, soft, label_smoothing=0.1)
    torch.testing.assert_close(task_loss(step), wanted)


def test_cutmix_pastes_one_rectangle_and_counts_its_area():
    labels = torch.arange(6) % 3
    scene, mixed, _, mixture = draw(Classification(), labels, cutmix_alpha=1.0, seed=1)
    assert mixture is not None
    own = (mixed == scene).all(1)
    other = (mixed == scene[mixture.partners]).all(1)
    assert (own | other).all()
    moved = mixture.partners != torch.arange(6)
    assert float(own[moved].float().mean()) == pytest.approx(mixture.share)


def test_the_mask_of_a_pixel_comes_with_the_pixel():
    masks = torch.arange(6, dtype=torch.uint8)[:, None, None].expand(6, 8, 8)
    scene, mixed, moved, mixture = draw(Segmentation(), masks, cutmix_alpha=1.0, seed=1)
    assert mixture is None  # nothing is left to account for
    sources = scene[moved.long(), :, torch.arange(8)[:, None], torch.arange(8)]
    torch.testing.assert_close(sources.permute(0, 3, 1, 2), mixed)
    *_, mixture = draw(Segmentation(), masks, mixup_alpha=1.0)
    assert mixture is not None


def test_with_both_stated_a_batch_undergoes_either():
    kinds = set()
    for seed in range(12):
        scene, mixed, _, _ = draw(
            Classification(), torch.arange(6), seed, mixup_alpha=1.0, cutmix_alpha=1.0
        )
        again = draw(Classification(), torch.arange(6), seed, mixup_alpha=1.0, cutmix_alpha=1.0)[1]
        assert torch.equal(mixed, again)
        kinds.add(bool(torch.isin(mixed, scene).all()))
    assert kinds == {True, False}


def test_shares_follow_the_beta_distribution():
    drawn = torch.Generator().manual_seed(0)
    scene = torch.zeros(2, 1, 1, 1)
    settings = Augmentation(mixup_alpha=0.5)
    shares = torch.tensor(
        [mix(scene, scene, Classification(), settings, drawn)[2].share for _ in range(2000)]
    )
    assert float(shares.mean()) == pytest.approx(0.5, abs=0.03)
    assert float(shares.var()) == pytest.approx(1 / 8, abs=0.01)  # 1 / (4 (2 alpha + 1))
