"""The weight of the tangent kernel's term, found from the gradients of the terms.

A fixed weight has to be tuned for every data set: the sizes of the terms' gradients differ by
orders of magnitude between data sets, discrepancies and stages of a training. ``ntk_weight: auto``
states their ratio instead:

    weight = min(1, s / WARM_UP) * KAPPA * mean a * mean |g_others| / mean |g_kernel|

with g_others the gradient of the other terms (task and KD, each with its weight), g_kernel that of
the kernel's term, both over the parameters that both terms depend on, and a the centred alignment
of the teacher's kernel with the labels: a kernel that does not tell them should not be matched. The
means are running means over the steps at which they are measured. So the kernel's term pulls
KAPPA a times as hard as what it is to help, whatever its scale, and less when the other terms are
nearly fulfilled. The weight rises over the first steps s: random features learn the task first, and
a training of few steps that the kernel leads from its beginning stays behind one without it
(docs/results/found_weight.md). It is zero for good once the student has left its teacher behind on
the validation images: the kernel of a poor teacher is in the way of the features that are better
than its own. GradNorm (Chen et al., ICML 2018) balances tasks by such norms;
Cortes et al. (2012) judge kernels by such alignments.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields

import torch
from torch import Tensor

KAPPA = 2.5
FIRST, EVERY = 10, 10  # measured at each of the first steps, then at every so many
WARM_UP = 30  # steps over which the weight rises
MEMORY = 0.9  # of the running means, in measured steps
NORMAL_95 = 1.96  # half of an interval of 95 %, in standard errors
LARGEST = 1e4  # where the kernel's gradient vanishes


@dataclass
class GradientBalance:
    """Running means of the gradients' norms; they change with every step that is measured.

    Attributes:
        steps: Steps so far.
        measured: Steps at which the gradients were measured.
        others: Norm of the gradient of the other terms.
        kernel: Norm of the gradient of the kernel's term.
        agreement: Alignment of the teacher's kernel with the labels, from 0 to 1.
        ended: Whether the student has left its teacher behind: nothing is matched any more.
    """

    steps: int = 0
    measured: int = 0
    others: float = 0.0
    kernel: float = 0.0
    agreement: float = 0.0
    ended: bool = False

    def step(
        self,
        others: Tensor,
        kernel: Tensor,
        parameters: Iterable[Tensor],
        agreement: float = 1.0,
    ) -> float:
        """The weight of a step, measured again where that is due.

        Args:
            others: The weighted sum of the other terms, a scalar.
            kernel: The kernel's term before its weight, a scalar.
            parameters: The parameters of the network.
            agreement: Alignment of the teacher's kernel with the labels of the step.
        """
        due = self.steps < FIRST or self.steps % EVERY == 0
        self.steps += 1
        if due and kernel.requires_grad and others.requires_grad:
            norms = _measure(others, kernel, [p for p in parameters if p.requires_grad])
            # One that is not finite would stay in the means for good.
            if all(map(math.isfinite, (*norms, agreement))):
                self._remember(*norms, max(agreement, 0.0))
        return self.weight

    @property
    def weight(self) -> float:
        """The weight that balances the gradients; 0 until they are measured, and once it ended."""
        if self.ended or not self.kernel:
            return 0.0
        risen = min(1.0, self.steps / WARM_UP)
        return risen * min(KAPPA * self.agreement * self.others / self.kernel, LARGEST)

    def save(self) -> dict[str, float | bool]:
        """The numbers that a checkpoint keeps."""
        return asdict(self)

    def load(self, kept: dict[str, float | bool]) -> None:
        """Go on from the numbers of a checkpoint, or begin anew from none."""
        for one in fields(self):
            setattr(self, one.name, kept.get(one.name, one.default))

    def _remember(self, others: float, kernel: float, agreement: float) -> None:
        kept = min(MEMORY, self.measured / (self.measured + 1))  # at first the plain mean
        self.others = kept * self.others + (1 - kept) * others
        self.kernel = kept * self.kernel + (1 - kept) * kernel
        self.agreement = kept * self.agreement + (1 - kept) * agreement
        self.measured += 1


def find_upper_bound(score: float, images: int) -> float:
    """The upper end of the 95 % interval of a teacher's validation score.

    Wald's interval of a share (accuracy). Of any mean over images of what lies between 0 and 1, as
    mIoU is, the true interval is no wider; AP50, which is no such mean, is treated as one.

    Args:
        score: The teacher's, from 0 to 1.
        images: How many validation images it is of.
    """
    # Of a score of 0 the interval is that of half an image: one that is right may be chance.
    share = max(score, 0.5 / images) if score >= 0 else 0.0
    return score + NORMAL_95 * math.sqrt(max(share * (1 - share), 0.0) / images)


def _measure(others: Tensor, kernel: Tensor, parameters: list[Tensor]) -> tuple[float, float]:
    """The norms of both terms' gradients over the parameters that the kernel's term depends on."""
    found = torch.autograd.grad(kernel, parameters, retain_graph=True, allow_unused=True)
    shared = [p for p, gradient in zip(parameters, found, strict=True) if gradient is not None]
    rest = torch.autograd.grad(others, shared, retain_graph=True, allow_unused=True)
    return _norm(rest), _norm(found)


def _norm(gradients: Iterable[Tensor | None]) -> float:
    """The Euclidean norm of all gradients together."""
    return sum(float(one.square().sum()) for one in gradients if one is not None) ** 0.5
