"""The weight that is found from gradients: its law, its parameters, and how it goes on."""

import json

import pytest
import torch
from torch import nn

from hybridonn import spec
from hybridonn.core.errors import SpecError
from hybridonn.data.dataset import ImageSet
from hybridonn.data.transforms.mixing import Mixture
from hybridonn.distillation import balance
from hybridonn.distillation.balance import (
    EVERY,
    FIRST,
    KAPPA,
    WARM_UP,
    GradientBalance,
    find_upper_bound,
)
from hybridonn.distillation.loss import Objective, weigh
from hybridonn.distillation.step import Batch
from hybridonn.distillation.teacher_targets import StoredTargets
from hybridonn.distillation.training import TrainingSetup, train
from hybridonn.tangent import centred_alignment
from hybridonn.tasks.classification import Classification


def parameters():
    return [nn.Parameter(torch.tensor([3.0, 4.0])), nn.Parameter(torch.tensor([1.0]))]


def others(shared, own, scale=1.0):
    return scale * (shared**2).sum() / 2 + 100 * own.sum()  # gradients (3, 4) and 100


def risen():
    """A balance after its first steps, none of them measured."""
    return GradientBalance(steps=WARM_UP)


def test_the_weight_is_the_ratio_of_the_norms_over_shared_parameters():
    shared, own = parameters()
    found = risen().step(others(shared, own), 0.1 * shared.sum(), [shared, own])
    assert found == pytest.approx(KAPPA * 5 / (0.1 * 2**0.5))
    assert shared.grad is None  # nothing is left in the parameters


def test_the_scale_of_the_kernels_term_makes_no_difference():
    shared, own = parameters()
    weights = [
        scale * GradientBalance().step(others(shared, own), scale * shared.sum(), [shared, own])
        for scale in (1e-3, 1.0, 1e3)
    ]
    assert weights == pytest.approx([weights[0]] * 3, rel=1e-5)


def test_a_teacher_that_does_not_tell_the_labels_is_matched_less():
    shared, own = parameters()
    weights = [
        GradientBalance().step(others(shared, own), shared.sum(), [shared, own], agreement)
        for agreement in (1.0, 0.25, -0.1)
    ]
    assert weights == pytest.approx([weights[0], weights[0] / 4, 0])


def test_the_first_steps_are_averaged_and_later_ones_measured_now_and_then():
    shared, own = parameters()
    one = GradientBalance()
    for scale in range(1, FIRST + 1):
        one.step(others(shared, own, scale), shared.sum(), [shared, own])
    assert one.others == pytest.approx(5 * (1 + FIRST) / 2)
    one.step(others(shared, own, 50), shared.sum(), [shared, own])  # due
    after = one.others
    assert after == pytest.approx(0.9 * 5 * (1 + FIRST) / 2 + 0.1 * 250)
    for _ in range(EVERY - 1):
        one.step(others(shared, own, 99), shared.sum(), [shared, own])
        assert one.others == after
    assert one.measured == FIRST + 1


def test_the_weight_rises_over_the_first_steps():
    shared, own = parameters()
    one = GradientBalance()
    weights = [
        one.step(others(shared, own), shared.sum(), [shared, own]) for _ in range(WARM_UP + 20)
    ]
    assert weights[:WARM_UP] == pytest.approx(
        [weights[-1] * (k + 1) / WARM_UP for k in range(WARM_UP)]
    )
    assert weights[WARM_UP:] == pytest.approx([weights[-1]] * 20)


def test_a_kernel_without_a_gradient_has_no_weight():
    shared, own = parameters()
    assert GradientBalance().step(others(shared, own), torch.tensor(1.0), [shared, own]) == 0
    zero = GradientBalance().step(others(shared, own), 0 * shared.sum(), [shared, own])
    assert zero == 0
    tiny = risen().step(others(shared, own), 1e-20 * shared.sum(), [shared, own])
    assert tiny == balance.LARGEST


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_one_measurement_that_is_not_finite_spoils_no_later_one(bad):
    shared, own = parameters()
    one, other = GradientBalance(), GradientBalance(steps=2)
    one.step(others(shared, own), bad * shared.sum(), [shared, own])
    one.step(others(shared, own), shared.sum(), [shared, own], bad)
    found = one.step(others(shared, own), shared.sum(), [shared, own])
    assert found == other.step(others(shared, own), shared.sum(), [shared, own]) > 0


def test_what_is_kept_goes_on():
    shared, own = parameters()
    one, other = GradientBalance(), GradientBalance()
    one.step(others(shared, own), shared.sum(), [shared, own])
    other.load(json.loads(json.dumps(one.save())))
    assert other == one
    other.load({})
    assert other == GradientBalance()


def test_a_balance_that_ended_stays_at_zero():
    shared, own = parameters()
    one, other = risen(), GradientBalance()
    assert one.step(others(shared, own), shared.sum(), [shared, own]) > 0
    one.ended = True
    assert one.step(others(shared, own), shared.sum(), [shared, own]) == 0
    other.load(json.loads(json.dumps(one.save())))
    assert other == one


def test_a_teacher_is_left_behind_by_more_than_chance():
    assert find_upper_bound(0.8, 400) == pytest.approx(0.8 + 1.96 * 0.02)
    assert find_upper_bound(0.9, 10) > 1  # ten images tell nothing
    assert find_upper_bound(1.0, 400) == 1
    assert find_upper_bound(0.0, 10) > 0.1  # one image of ten may be chance
    assert find_upper_bound(-3.0, 400) == -3  # a score that is no share


@pytest.fixture
def images():
    dice = torch.Generator().manual_seed(0)
    pictures = torch.randint(0, 256, (60, 1, 4, 4), generator=dice, dtype=torch.uint8)
    return ImageSet(pictures, torch.arange(60) % 3)


def build():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.Tanh(), nn.Linear(8, 3))


def auto(**more):
    settings = spec.Distillation(**{"ntk_weight": "auto"} | more)
    dice = torch.Generator().manual_seed(1)
    classes = torch.eye(3)[torch.arange(60) % 3]
    features = torch.cat([torch.randn(60, 5, generator=dice), 2 * classes], 1)
    targets = StoredTargets(torch.randn(60, 3, generator=dice), features @ features.T)
    return Objective(Classification(), settings, targets)


def test_the_objective_weighs_the_term_and_tells_the_weight(images):
    objective, network = auto(), build()
    inputs, labels = images.batch(torch.arange(20))
    terms = objective(network, Batch(inputs, labels, torch.arange(20)))
    weight = terms["ntk_weight"].item()
    assert weight == pytest.approx(2 * objective.balance.weight)  # it falls from there to 0
    assert weight > 0
    same = (labels[:, None] == labels[None]).float()
    told = centred_alignment(objective.targets.gram[:20, :20], same)
    assert objective.balance.agreement == pytest.approx(told.item(), rel=1e-4)
    expected = terms["task"] + terms["kd"] + weight * terms["ntk"]
    assert terms["loss"].item() == pytest.approx(expected.item(), rel=1e-6)
    terms["loss"].backward()
    assert weigh(spec.Distillation(ntk_weight="auto"))["ntk"] == "auto"


@pytest.mark.parametrize(
    ("schedule", "factor"), [("auto", 0.5), ("falling", 0.5), ("constant", 1), ("rising", 1.5)]
)
def test_a_schedule_moves_the_weight_that_is_found(images, schedule, factor):
    objective = auto(tangent=spec.Tangent(schedule=schedule))
    inputs, labels = images.batch(torch.arange(20))
    terms = objective(build(), Batch(inputs, labels, torch.arange(20), progress=0.75))
    assert terms["ntk_weight"].item() == pytest.approx(factor * objective.balance.weight)


def test_a_rising_weight_begins_without_the_term(images):
    objective = auto(tangent=spec.Tangent(schedule="rising"))
    inputs, labels = images.batch(torch.arange(20))
    first = objective(build(), Batch(inputs, labels, torch.arange(20)))
    assert first["ntk_weight"] == 0
    assert "ntk" not in first
    later = objective(build(), Batch(inputs, labels, torch.arange(20), progress=0.25))
    assert later["ntk_weight"].item() == pytest.approx(objective.balance.weight / 2)


def test_labels_are_not_read_where_the_task_has_no_weight(images):
    inputs, labels = images.batch(torch.arange(20))
    found = [
        auto(task_weight=0)(build(), Batch(inputs, some, torch.arange(20)))["loss"].item()
        for some in (labels, labels.flip(0) * 0)
    ]
    assert found[0] == found[1]


def test_mixed_images_have_soft_labels(images):
    objective, network, indices = auto(), build(), torch.arange(20)
    inputs, labels = images.batch(indices)
    mixture = Mixture(indices.roll(1), 0.7)
    objective(network, Batch(inputs, labels, indices, mixture=mixture))
    soft = 0.7 * torch.eye(3)[labels] + 0.3 * torch.eye(3)[labels.roll(1)]
    told = centred_alignment(objective.targets.gram[:20, :20], soft @ soft.T)
    assert objective.balance.agreement == pytest.approx(told.item(), rel=1e-4)


@pytest.mark.parametrize("teacher_bound", [None, -1.0])
def test_a_killed_training_goes_on_with_its_weight(images, tmp_path, monkeypatch, teacher_bound):
    monkeypatch.setattr("hybridonn.distillation.checkpoint.SPARED", 0.0)

    def go(folder, stop=None):
        def callback(network):
            if stop and (seen := seen_epochs.append(1) or len(seen_epochs)) == stop:
                raise KeyboardInterrupt(seen)
            return {}

        seen_epochs = []
        training = spec.Training(epochs=4, batch_size=20, learning_rate=1e-2, device="cpu")
        network = build()
        parts = auto(), images, images, training, 0, "auto", callback
        setup = TrainingSetup(*parts, teacher_bound=teacher_bound)
        history = train(network, setup, folder / "checkpoint.safetensors")
        return network, history

    (tmp_path / "whole").mkdir()
    network, whole = go(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        go(tmp_path, stop=3)
    again, resumed = go(tmp_path)
    assert [row["ntk_weight"] for row in resumed] == [row["ntk_weight"] for row in whole]
    assert torch.equal(again[1].weight, network[1].weight)


def train_beyond(images, folder, teacher_bound, **settings):
    folder.mkdir()
    training = spec.Training(epochs=3, batch_size=20, learning_rate=1e-2, device="cpu")
    network = build()
    setup = TrainingSetup(
        auto(**settings), images, images, training, 0, "", teacher_bound=teacher_bound
    )
    return network, train(network, setup, folder / "checkpoint.safetensors")


def test_a_student_that_left_its_teacher_behind_goes_on_by_the_other_terms(images, tmp_path):
    _, never = train_beyond(images, tmp_path / "never", None)
    assert all(row["ntk_weight"] > 0 for row in never)
    _, ended = train_beyond(images, tmp_path / "ended", -1.0)
    assert [row["ntk_weight"] for row in ended] == [never[0]["ntk_weight"], 0, 0]
    assert ["ntk" in row for row in ended] == [True, False, False]
    assert ended[0]["loss"] == never[0]["loss"]
    assert ended[2]["loss"] == pytest.approx(ended[2]["task"] + ended[2]["kd"])


def test_a_weight_that_is_stated_stays_when_the_teacher_is_left_behind(images, tmp_path):
    settings = {"ntk_weight": 3.0}
    network, _ = train_beyond(images, tmp_path / "beyond", -1.0, **settings)
    other, _ = train_beyond(images, tmp_path / "never", None, **settings)
    assert torch.equal(network[1].weight, other[1].weight)


@pytest.mark.parametrize("key", ["kd_weight", "task_weight"])
def test_the_other_weights_are_numbers(key):
    with pytest.raises(ValueError, match=key):
        spec.Distillation(**{key: "auto"})


@pytest.mark.parametrize(
    ("value", "said"),
    [("Auto", "is 'Auto': allowed is a number, .*, or 'auto'"), ("-1", "is -1: allowed is 0 or")],
)
def test_another_word_is_refused(value, said):
    with pytest.raises(SpecError, match=f"distillation.ntk_weight {said}"):
        spec.read_spec(None, (f"distillation.ntk_weight={value}",))


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ("{method: none, task_weight: 0}", "task_weight is 0, so that nothing is learnt"),
        ("{method: kd, task_weight: 0, kd_weight: 0}", "task_weight and kd_weight are 0, so that"),
        (
            "{ntk_weight: auto, task_weight: 0, kd_weight: 0}",
            "balances its term against the others, but task_weight and kd_weight are 0",
        ),
    ],
)
def test_weights_that_leave_nothing_to_learn_or_to_balance_are_refused(weights, said):
    with pytest.raises(SpecError, match=said):
        spec.read_spec(None, (f"distillation={weights}",))
    alone = "distillation={task_weight: 0, kd_weight: 0, ntk_weight: 3}"
    spec.read_spec(None, (alone,))  # the kernel alone
