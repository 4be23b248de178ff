"""The objective: the weighted sum of the loss terms of a method."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hybridonn import spec
from hybridonn.core.errors import HybridonnError, TrainingError
from hybridonn.core.tables import resolve
from hybridonn.core.user_code import import_callable
from hybridonn.distillation.balance import GradientBalance
from hybridonn.distillation.methods import AUTO, OWN, TERMS, find_method, is_own_code
from hybridonn.distillation.step import Batch, Step
from hybridonn.distillation.teacher_targets import TeacherTargets
from hybridonn.networks.own_code import quote
from hybridonn.tasks.task import Task

LossTerm = Callable[[Step], Tensor]


class Objective:
    """The weighted sum of a method's loss terms on a batch.

    The terms whose weight is zero are not computed. Without targets of a
    teacher, only the task is left: this is also how a teacher is trained.

    Args:
        task: What the network is for.
        distillation: Method, weights and settings; None: the task alone.
        targets: What the teacher answers; None: there is no teacher.

    Raises:
        SpecError: The user's own loss term cannot be imported.
    """

    def __init__(
        self,
        task: Task,
        distillation: spec.Distillation | None = None,
        targets: TeacherTargets | None = None,
    ) -> None:
        self.task = task
        self.targets = targets
        self.settings = distillation or spec.Distillation(method="none")
        self.weights = weigh(self.settings)
        self.balance = GradientBalance()
        names = find_method(self.settings.method).terms
        kept = [name for name in names if targets is not None or not TERMS[name].needs]
        kept.sort(key=lambda name: not TERMS[name].runs_network)  # its forward pass serves all
        self.terms = {name: find_term(name, self.settings) for name in kept}

    def __call__(self, network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """The weighted sum under ``loss``, and each term that went into it under its name.

        Raises:
            TrainingError: The user's own loss term fails, or gives no scalar with a gradient.
        """
        weights = self.weights_at(batch.progress)
        step = Step(network, batch, self.task, self.settings, self.targets)
        terms = {
            name: _call_own(term, step) if name == OWN else term(step)
            for name, term in self.terms.items()
            if weights[name]
        }
        found = self._balance(step, terms, weights)
        total = _add_weighted(terms, found)
        shown = {TERMS[name].weight: torch.tensor(found[name]) for name in self.balanced}
        return {"loss": total} | terms | shown

    @property
    def balanced(self) -> list[str]:
        """The terms whose weight is found during the training."""
        return [name for name in self.terms if self.weights[name] == AUTO]

    @property
    def schedule(self) -> str:
        """How the weight of the kernels changes; one that is found falls to 0 where none is stated.

        Kernels lead the student early, and where images are plenty they are in its way later
        (docs/results/found_weight.md).
        """
        stated = self.settings.tangent.schedule
        if stated != AUTO:
            return stated
        return "falling" if self.balanced else "constant"

    def end_balance(self) -> None:
        """Match nothing any more where the weight is found: the student needs its teacher no more.

        A weight that is a number stays as stated.
        """
        self.balance.ended = bool(self.balanced)

    def weights_at(self, progress: float) -> dict[str, float]:
        """The weights by term when this share of the training is done, from 0 to 1.

        Of a term whose weight is found during the training, the factor of that weight.
        """
        factor = 0.0 if self.balance.ended else SCHEDULES[self.schedule](progress)
        stated = {name: 1.0 if one == AUTO else one for name, one in self.weights.items()}
        return {
            name: weight * factor if TERMS[name].scheduled else weight
            for name, weight in stated.items()
        }

    def _balance(
        self, step: Step, terms: dict[str, Tensor], weights: dict[str, float]
    ) -> dict[str, float]:
        """The weights of a step, those of balanced terms times what balances their gradients."""
        # A schedule may leave a term out at the end of the training, or at its beginning.
        names = [name for name in self.balanced if name in terms]
        if not names or not torch.is_grad_enabled():
            return weights
        (name,) = names
        others = _add_weighted({key: one for key, one in terms.items() if key != name}, weights)
        agreement = 1.0 if step.agreement is None else step.agreement
        found = self.balance.step(others, terms[name], step.network.parameters(), agreement)
        return weights | {name: found * weights[name]}


def _add_weighted(terms: dict[str, Tensor], weights: dict[str, float]) -> Tensor:
    """The weighted sum of terms, in their order."""
    return sum(weights[name] * term for name, term in terms.items())  # type: ignore[return-value]


def weigh(distillation: spec.Distillation) -> dict[str, Any]:
    """The weight of every term of the table; those that the method does not have are zero.

    A weight that is found during the training is ``auto``.
    """
    own = find_method(distillation.method).terms
    return {
        name: getattr(distillation, term.weight) if name in own else 0.0
        for name, term in TERMS.items()
    }


def find_term(name: str, distillation: spec.Distillation) -> LossTerm:
    """Import a term of the table, or the user's own.

    Args:
        name: A key of the table of terms.
        distillation: Settings whose method names the user's own code.

    Raises:
        SpecError: The user's own code cannot be imported, or is not annotated to return a tensor.
    """
    if name != OWN:
        return resolve({name: TERMS[name].code}, name)
    return import_own_term(distillation.method, distillation.code_folder)


def import_own_term(method: str, folder: Path | None) -> LossTerm:
    """Import the loss term that a spec names as ``package.module:callable``.

    Args:
        method: The name.
        folder: Where the module is looked for first, then where Python looks.

    Raises:
        SpecError: It cannot be imported, or is no function annotated to return a tensor.
    """
    return import_callable(method, folder, Tensor, "distillation.method")


def refuse_own_term(distillation: spec.Distillation) -> None:
    """Refuse a user's own loss term that cannot be imported, before any training.

    Raises:
        SpecError: See :func:`import_own_term`.
    """
    if is_own_code(distillation.method):
        import_own_term(distillation.method, distillation.code_folder)


def _call_own(term: LossTerm, step: Step) -> Tensor:
    """The user's own loss term.

    Raises:
        HybridonnError: What the package itself refuses within the term.
        TrainingError: It fails, or gives no scalar with a gradient.
    """
    method = step.settings.method
    try:
        value = term(step)
    except HybridonnError:
        raise
    except Exception as error:  # the user's own code may raise anything
        line = traceback.extract_tb(error.__traceback__)[-1]
        raise TrainingError(
            f"distillation.method is {method!r}, which failed at line {line.lineno} of "
            f"{Path(line.filename).name}: {quote(error)}"
        ) from error
    _check_scalar(value, method)
    return value


def _check_scalar(value: object, method: str) -> None:
    if not isinstance(value, Tensor):
        found = f"a {type(value).__name__}"
    elif value.ndim or not value.is_floating_point():
        found = f"a tensor of shape {tuple(value.shape)} and type {value.dtype}"
    elif torch.is_grad_enabled() and not value.requires_grad:
        found = "a number that has no gradient, so that nothing learns of it"
    else:
        return
    raise TrainingError(
        f"distillation.method is {method!r}, which returned {found}; a loss term returns a scalar "
        "tensor of floating-point numbers, such as a mean over the batch, made of step.logits "
        "without detach()"
    )


# Factors of a scheduled weight; the mean of each over a training is one.
SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": lambda progress: 1.0,
    "falling": lambda progress: 2 * (1 - progress),
    "rising": lambda progress: 2 * progress,
}
