"""Work is split so that a memory budget holds, or the budget that is needed is said."""

import pytest
import torch
from torch import nn

from hybridonn.tangent import TangentError, ntk
from hybridonn.tangent.empirical.plan import (
    BATCH_BYTES,
    LOOP_BYTES,
    Footprint,
    measure_footprint,
    plan_memory,
)

KB = 1e3
NEED = Footprint(100 * KB, 10 * KB, 5 * KB, torch.Size([10]))


def plan(memory_gb, n1=20, n2=None, need=NEED, **options):
    return plan_memory(need, n1, n2, 10, memory_gb, 0, **options)


def test_a_large_budget_takes_all_samples_and_outputs_at_once():
    found = plan(1.0)
    assert (found.samples, found.outputs, found.keep) == (20, 10, True)
    assert found.contraction == pytest.approx(0.4e9 - 20 * 5 * KB)
    assert found.room == 10


def test_a_smaller_budget_takes_some_outputs_at_a_time():
    # 60 % of 5 MB are 150 kB a sample: its graph, and the cotangents of 5 outputs.
    found = plan(5e-3)
    assert (found.samples, found.outputs) == (20, 5)
    both = plan(5e-3, n1=12, n2=8)  # both blocks of samples are held
    assert (both.samples, both.outputs) == (12, 5)


def test_the_smallest_budgets_take_some_samples_at_a_time():
    # A pair of samples with one output needs 2 (100 + 10) kB of 60 % of the budget.
    assert (plan(1.2e-3).samples, plan(1.2e-3).outputs) == (3, 1)
    assert plan(0.37e-3).samples == 1


def test_a_budget_below_a_pair_of_samples_says_what_is_needed():
    with pytest.raises(TangentError, match=r"memory_gb is 0\.0001") as caught:
        plan(1e-4)
    enough = float(str(caught.value).split("memory_gb=")[1].split()[0])
    assert 2 * 110 * KB / 0.6 <= 1e9 * enough <= 1.2 * 2 * 110 * KB / 0.6
    assert plan(enough).samples == 1


def test_the_result_is_within_the_budget():
    with pytest.raises(TangentError, match="memory_gb"):
        plan_memory(NEED, 20, None, 10, 1e-2, result=6e6)


@pytest.mark.parametrize(("known", "limit"), [(False, LOOP_BYTES), (True, BATCH_BYTES)])
def test_cotangents_at_a_time_suit_the_caches(known, limit):
    need = Footprint(KB, limit / 20 / 4.5, 0, torch.Size([10]), known)
    assert plan(100.0, need=need, cached=True).outputs == 4
    assert plan(100.0, need=need).outputs == 10


def test_patches_are_kept_where_there_is_room():
    large = Footprint(KB, KB, 200 * KB, torch.Size([10]))
    assert plan(0.1, need=large).keep
    assert not plan(0.01, need=large).keep


def test_the_footprint_of_a_convolution_and_a_dense_layer():
    model = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.Sigmoid(), nn.Flatten())
    model.append(nn.Linear(4 * 64, 10)).double()
    x = torch.rand(5, 2, 8, 8).double()
    found = measure_footprint(model, x)
    layers = 8 * (256 + 10)  # bytes of both layers' outputs
    assert found.cotangents == layers + 2 * 8 * 256
    assert found.patches == 8 * 64 * 18
    assert found.outputs == torch.Size([10])
    assert 8 * (128 + 256) <= found.graph <= 8 * (128 + 3 * 256)
    assert found.known
    model.insert(0, nn.Conv2d(2, 2, 3, padding=1).double())
    assert not measure_footprint(model, x).known  # a convolution and a sigmoid
    model[2] = nn.ReLU()
    assert measure_footprint(model, x).known


def convnet():
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(2, 5, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(5, 6, 3),
        nn.GroupNorm(3, 6),
        nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(24, 4),
    ).double()


def images(n=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, 2, 10, 10, dtype=torch.float64, generator=generator)


def test_a_budget_too_small_says_what_is_needed():
    with pytest.raises(TangentError, match=r"memory_gb is 1e-05.*give memory_gb=") as caught:
        ntk(convnet(), images(), memory_gb=1e-5)
    enough = float(str(caught.value).split("memory_gb=")[1].split()[0])
    ntk(convnet(), images(), memory_gb=enough)
