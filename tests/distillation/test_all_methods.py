"""Every method and every loss term of the table."""

import re

import pytest
import torch

from hybridonn import spec
from hybridonn.core.errors import SpecError, TrainingError
from hybridonn.core.tables import resolve
from hybridonn.distillation.loss import Objective, weigh
from hybridonn.distillation.methods import (
    BASELINE,
    METHODS,
    OWN,
    TERMS,
    explain_unserved,
    find_method,
    list_settings,
    list_unused,
    needs_kernel,
    needs_teacher,
    rank_method,
)
from hybridonn.distillation.step import Batch
from hybridonn.distillation.teacher_targets import StoredTargets
from hybridonn.networks.student import build_student
from hybridonn.tangent import ntk
from hybridonn.tasks.classification import Classification

DESIGN = spec.Student(kernels=3, kernel_size=3, pooled_size=3, hidden=(8,))
IMAGES = 6
MODULE = """
from torch import Tensor


def relate(step) -> Tensor:
    mine, theirs = (torch_cdist(one) for one in (step.logits, step.teacher_logits()))
    return (mine - theirs).square().mean()


def torch_cdist(logits):
    return (logits[:, None] - logits[None]).square().sum(-1)


def unreduced(step) -> Tensor:
    return step.logits.square()


def detached(step) -> Tensor:
    return step.logits.detach().square().mean()


def failing(step) -> Tensor:
    return {}["weight"]


def unstored(step) -> Tensor:
    return step.teacher_kernel(step.batch.indices, step.batch.inputs).mean() / 0 + missing


def silent(step):
    return step.logits.mean()
"""


@pytest.fixture(scope="module")
def targets():
    teacher = build_student(DESIGN, (1, 8, 8), 4, seed=1).eval()
    scene = _batch().inputs
    return StoredTargets(teacher(scene).detach(), gram=ntk(teacher, scene).detach())


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "own_loss.py").write_text(MODULE)
    return tmp_path


SERVING = [name for name in METHODS if not explain_unserved(name, "image")]


def _batch():
    scene = torch.rand(IMAGES, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    indices = torch.arange(IMAGES)
    return Batch(scene, indices % 4, indices)


def _compute(targets, **settings):
    student = build_student(DESIGN, (1, 8, 8), 4, seed=0)
    stated = spec.Distillation(**{"ntk_weight": 3.0} | settings)  # auto: test_balance.py
    terms = Objective(Classification(), stated, targets)(student, _batch())
    return student, terms


@pytest.mark.parametrize("method", SERVING)
def test_the_terms_of_a_method_are_computed_and_no_others(method, targets):
    _, terms = _compute(targets, method=method)
    assert set(terms) == {"loss", *find_method(method).terms}
    assert all(value.ndim == 0 and value.isfinite() for value in terms.values())


@pytest.mark.parametrize("method", SERVING)
def test_the_loss_has_a_gradient(method, targets):
    student, terms = _compute(targets, method=method)
    terms["loss"].backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in student.parameters())


@pytest.mark.parametrize(
    ("method", "name"),
    [(one, name) for one in SERVING for name in METHODS[one].terms if len(METHODS[one].terms) > 1],
)
def test_a_term_of_no_weight_is_not_computed_and_leaves_the_others_as_they_are(
    method, name, targets
):
    _, whole = _compute(targets, method=method)
    _, without = _compute(targets, method=method, **{TERMS[name].weight: 0.0})
    assert name not in without
    rest = {key: whole[key] for key in whole if key not in ("loss", name)}
    if name != "ntk":  # else the others come from another forward pass
        assert {key: float(value.detach()) for key, value in rest.items()} == {
            key: float(value.detach()) for key, value in without.items() if key != "loss"
        }
    weights = weigh(spec.Distillation(method=method, ntk_weight=3.0))
    assert torch.equal(
        torch.as_tensor(without["loss"]).detach(),
        torch.as_tensor(sum(weights[key] * without[key].detach() for key in rest)),
    )


def test_labels_wording_and_colours_are_distinct():
    for values in (
        [one.label for one in METHODS.values()],
        [one.how for one in METHODS.values()],
        [one.how_in_full for one in METHODS.values()],
        [one.trained for one in METHODS.values()],
        [one.colour for one in METHODS.values()],
        [one.label for one in TERMS.values()],
        [one.colour for one in TERMS.values()],
        [one.weight for one in TERMS.values()],
    ):
        assert len(set(values)) == len(values)
    colours = [one.colour for one in (*METHODS.values(), *TERMS.values())]
    assert all(re.fullmatch("#[0-9a-f]{6}", colour) for colour in colours)


@pytest.mark.parametrize("method", METHODS)
def test_what_a_method_reads_and_what_tuning_varies_are_keys_of_the_spec(method):
    used, unused = list_settings(method), list_unused(method)
    assert {*used, *unused} <= set(spec.Distillation.model_fields)
    assert not {*used} & {*unused}
    assert method in spec.Tuning.model_fields
    tuned = set(spec.Tuned.model_fields)
    assert tuned <= set(spec.Distillation.model_fields) | set(spec.Training.model_fields)
    assert {one.weight for name, one in TERMS.items() if name != "task"} <= tuned


@pytest.mark.parametrize("name", [name for name in TERMS if name != OWN])
def test_the_code_of_a_term_can_be_imported(name):
    assert callable(resolve({name: TERMS[name].code}, name))


@pytest.mark.parametrize("method", METHODS)
def test_a_method_says_what_it_needs_of_the_teacher(method):
    assert all(name in TERMS for name in find_method(method).terms)
    assert needs_teacher(method) == (method != BASELINE)
    assert needs_teacher(method) >= needs_kernel(method)


def test_methods_stand_in_the_order_of_the_table_and_own_code_behind_them():
    names = ["own_loss:relate", *reversed(METHODS)]
    assert sorted(names, key=rank_method) == [*METHODS, "own_loss:relate"]


def test_a_users_own_loss_term_joins_the_task_and_kd(folder, targets):
    student, terms = _compute(
        targets, method="own_loss:relate", code_folder=folder, own_weight=2, kd_weight=0
    )
    assert set(terms) == {"loss", "task", OWN}
    expected = (terms["task"] + 2 * terms[OWN]).item()
    assert terms["loss"].item() == pytest.approx(expected)
    terms[OWN].backward()
    assert sum(p.grad.abs().sum() for p in student.parameters() if p.grad is not None) > 0


def test_an_own_term_that_is_no_scalar_is_refused(folder, targets):
    with pytest.raises(TrainingError, match=r"own_loss:unreduced.*shape \(6, 4\).*scalar"):
        _compute(targets, method="own_loss:unreduced", code_folder=folder)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("detached", "returned a number that has no gradient"),
        ("failing", r"failed at line \d+ of own_loss.py: KeyError: 'weight'"),
        ("unstored", r"failed at line \d+ of own_loss.py: NameError"),
    ],
)
def test_an_own_term_that_fails_or_teaches_nothing_is_refused(folder, targets, name, said):
    with pytest.raises(TrainingError, match=rf"distillation\.method is 'own_loss:{name}'.*{said}"):
        _compute(targets, method=f"own_loss:{name}", code_folder=folder)


@pytest.mark.parametrize(
    ("name", "said"),
    [("silent", "does not say what it returns"), ("absent", "defines no absent")],
)
def test_own_code_that_is_no_loss_term_is_refused(folder, targets, name, said):
    with pytest.raises(SpecError, match=rf"distillation\.method is 'own_loss:{name}'.*{said}"):
        _compute(targets, method=f"own_loss:{name}", code_folder=folder)
