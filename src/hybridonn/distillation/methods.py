"""The table of distillation methods, and of the loss terms that they are made of: plain data.

A new loss term is its file in ``distillation/terms/`` and its entry in :data:`TERMS`; a new method
is its entry in :data:`METHODS`. The spec, the studies and the reports take names, weights, labels
and colours from here, so this module imports neither torch nor the rest of the package.
"""

from __future__ import annotations

from dataclasses import dataclass

OWN = "own"  # the term of a user's own loss function
AUTO = "auto"  # a weight that is found during the training
BASELINE = "none"  # the method without a teacher, with which the others are compared


@dataclass(frozen=True)
class Term:
    """One term of the loss.

    Attributes:
        label: Name of the term in the legend of a figure.
        colour: Colour in a figure, hexadecimal.
        dashes: Line style in a figure.
        weight: The key of ``distillation`` that holds its weight.
        default: The weight where the spec states none; ``auto`` only where it is balanced.
        code: ``package.module:callable`` that computes it, see :mod:`hybridonn.distillation.terms`;
            empty: the callable that the spec names as its method.
        settings: Further keys of ``distillation`` that it reads.
        needs: What it asks of the teacher: ``logits``, ``kernel``, or nothing.
        runs_network: Whether it makes the forward pass of the step, which then serves all terms.
        scheduled: Whether ``distillation.tangent.schedule`` changes its weight during the training.
        balanced: Whether its weight may be ``auto``: found from the gradients of the terms.
        answers: The kinds of answers that it is of, words of :mod:`hybridonn.tasks.table`; empty:
            of any.
        why: What it compares, in words that say why it serves no other answers.
    """

    label: str
    colour: str
    dashes: str
    weight: str
    default: float | str
    code: str
    settings: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    runs_network: bool = False
    scheduled: bool = False
    balanced: bool = False
    answers: tuple[str, ...] = ()
    why: str = ""


@dataclass(frozen=True)
class Method:
    """One way to train a student.

    Attributes:
        label: The loss in a few words.
        how: What it learns from, behind "trained" or "fine-tuned", in a few words.
        how_in_full: The same with every abbreviation spelled out.
        trained: How a student is trained by it, behind "It was trained".
        colour: Colour in a figure, hexadecimal.
        terms: Names of its loss terms, keys of :data:`TERMS`.
    """

    label: str
    how: str
    how_in_full: str
    trained: str
    colour: str
    terms: tuple[str, ...]


_TERMS = "hybridonn.distillation.terms"
TERMS = {
    "task": Term("task", "#3f90da", "-", "task_weight", 1.0, f"{_TERMS}.task:task_loss"),
    "kd": Term(
        "KD",
        "#e76300",
        "--",
        "kd_weight",
        1.0,
        f"{_TERMS}.logits:match_logits",
        settings=("temperature",),
        needs=("logits",),
    ),
    "cwd": Term(
        "CWD",
        "#bd1f01",
        ":",
        "cwd_weight",
        3.0,
        f"{_TERMS}.channels:match_channels",
        settings=("temperature",),
        needs=("logits",),
        answers=("pixel", "cell"),
        why="compares where in an image each class is found",
    ),
    "ntk": Term(
        "NTK",
        "#832db6",
        "-.",
        "ntk_weight",
        AUTO,
        f"{_TERMS}.tangent_kernel:match_kernels",
        settings=("tangent",),
        needs=("kernel",),
        runs_network=True,
        scheduled=True,
        balanced=True,
    ),
    OWN: Term("own term", "#a96b59", "-.", "own_weight", 1.0, "", needs=("logits",)),
}
METHODS = {
    "none": Method(
        "task alone",
        "on labels",
        "on labels alone",
        "on the task alone, without distillation",
        "#717581",
        ("task",),
    ),
    "kd": Method(
        "task + KD",
        "with KD",
        "with knowledge distillation (KD)",
        "by knowledge distillation (KD)",
        "#3f90da",
        ("task", "kd"),
    ),
    "cwd": Method(
        "task + CWD",
        "with CWD",
        "with channel-wise knowledge distillation (CWD)",
        "by channel-wise knowledge distillation (CWD)",
        "#bd1f01",
        ("task", "cwd"),
    ),
    "ntkd": Method(
        "task + KD + NTK",
        "with NTKD",
        "with neural tangent knowledge distillation (NTKD)",
        "by neural tangent knowledge distillation (NTKD)",
        "#832db6",
        ("task", "kd", "ntk"),
    ),
}


def find_method(name: str) -> Method:
    """The record of a method; one of its own for a user's ``package.module:callable``.

    Args:
        name: A key of :data:`METHODS`, or the name of code; the spec has checked it.

    Raises:
        KeyError: It is neither.
    """
    if is_own_code(name):
        what = f"knowledge distillation (KD) and the loss term {name}"
        label, how, terms = f"task + KD + {name}", f"with {name}", ("task", "kd", OWN)
        return Method(label, how, f"with {what}", f"by {what}", "#a96b59", terms)
    return METHODS[name]


def is_own_code(name: str) -> bool:
    """Whether a method is a user's own ``package.module:callable``."""
    return ":" in name


def rank_method(name: str) -> tuple[int, str]:
    """The place of a method in a table: in the order of :data:`METHODS`, own code at the end."""
    known = list(METHODS)
    return (known.index(name), "") if name in known else (len(known), name)


def list_settings(name: str) -> tuple[str, ...]:
    """The keys of ``distillation`` that a method reads: weights and settings of its terms."""
    terms = [TERMS[term] for term in find_method(name).terms]
    return tuple(key for term in terms for key in (term.weight, *term.settings))


def list_unused(name: str) -> tuple[str, ...]:
    """The keys of ``distillation`` that belong to terms which a method does not have."""
    used = list_settings(name)
    keys = [key for term in TERMS.values() for key in (term.weight, *term.settings)]
    return tuple(key for key in keys if key not in used)


def needs_teacher(name: str) -> bool:
    """Whether a method asks anything of the teacher."""
    return any(TERMS[term].needs for term in find_method(name).terms)


# What to do where a distilled student is behind one that was trained on the task alone: a teacher
# of digits that is as good as the student cost 13.5 points in 120 steps at temperature 4, and 0.5
# at temperature 1 (docs/results/found_weight.md).
CURE_OF_BEHIND = (
    "logits are learnt slowly where steps are few: train for more epochs, lower "
    "distillation.temperature (1 is learnt fastest), or find both with hybridonn tune"
)


def needs_kernel(name: str) -> bool:
    """Whether a method asks for the teacher's tangent kernel."""
    return any("kernel" in TERMS[term].needs for term in find_method(name).terms)


def explain_unserved(name: str, answers: str) -> str:
    """Why a method does not serve tasks with such answers, in words; empty: it does.

    Args:
        name: The method.
        answers: A word of :mod:`hybridonn.tasks.table`: ``"image"``, ``"pixel"`` or ``"cell"``;
            empty: whether it serves all of them.
    """
    terms = [TERMS[term] for term in find_method(name).terms]
    return next((one.why for one in terms if one.answers and answers not in one.answers), "")


def needs_labels(name: str) -> bool:
    """Whether a method has nothing to learn from without labels."""
    return not needs_teacher(name)


def find_stored_for(kernel: bool) -> str:
    """The method that stands for all that ask the same of the teacher.

    Args:
        kernel: Whether they ask for the tangent kernel, or for the logits alone.
    """
    return next(one for one in METHODS if needs_teacher(one) and needs_kernel(one) == kernel)
