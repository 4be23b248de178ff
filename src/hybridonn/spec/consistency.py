"""Parts of a spec that contradict one another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hybridonn.distillation.methods import METHODS, explain_unserved
from hybridonn.networks.frontends.table import DIGITAL, FRONTENDS
from hybridonn.optics.fabrication.table import list_before_training
from hybridonn.tasks.table import TASKS

if TYPE_CHECKING:
    from hybridonn.spec.tree import Spec


def check_optics(spec: Spec) -> None:
    """Refuse optics that take no metasurface or no simulated chip where one is asked for.

    Raises:
        ValueError: Two parts of the spec contradict one another.
    """
    if spec.frontend == DIGITAL:
        check_digital(spec)
    branches = len(spec.student.branches)
    name, frontend = spec.optics.frontend, FRONTENDS[spec.frontend]
    if not frontend.ideal_kernels and spec.optics.metasurface is not None:
        raise ValueError(
            f"optics.frontend is {name}, but optics.metasurface is set; a metasurface is made of "
            "ideal kernels: leave optics.metasurface out, or set optics.frontend to ideal"
        )
    if frontend.design is None and spec.fabrication is not None:
        raise ValueError(
            f"optics.frontend is {name}, but fabrication is set; of these optics no chip can be "
            "simulated: leave fabrication out, or set optics.frontend to ideal"
        )
    if (name == "measured") != (spec.optics.measured is not None):
        found = "is not set" if name == "measured" else "is set"
        raise ValueError(
            f"optics.frontend is {name}, but optics.measured {found}; the two go together: set "
            "optics.frontend to measured and state optics.measured, with psfs and "
            "pixels_per_scene_pixel, or leave both out"
        )
    if branches and not frontend.several_branches:
        raise ValueError(
            f"optics.frontend is {name}, but the student has {branches} branches; these optics "
            "have one resolution: leave student.branches out, or set optics.frontend to ideal"
        )
    if spec.optics.strategy == "end-to-end" and spec.optics.metasurface is None:
        raise ValueError(
            "optics.strategy is end-to-end, but optics.metasurface is not set, so there are no "
            "pillars to train; set optics.metasurface to {} for the authors' chip"
        )


def check_digital(spec: Spec) -> None:
    """Refuse optics or a chip of a student that has none.

    Raises:
        ValueError: One is stated.
    """
    optics = spec.optics
    stated = {
        f"optics.frontend: {optics.frontend}": optics.frontend != "ideal",
        "optics.metasurface": optics.metasurface is not None,
        "fabrication": spec.fabrication is not None,
        "compensation": spec.compensation is not None,
    }
    if found := [key for key, is_stated in stated.items() if is_stated]:
        raise ValueError(
            f"student.optics is none, an all-digital student, but {found[0]} is set; without "
            "optics there is no chip to design, fabricate or compensate: leave "
            f"{' and '.join(found)} out, or set student.optics to trained"
        )


def join_or(names: Sequence[str]) -> str:
    """Names as a sentence has them: ``a, b or c``."""
    return " or ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def check_pixels(spec: Spec) -> None:
    """Refuse kernels of pixels where an answer is of an image, or where images are captured.

    Raises:
        ValueError: They are asked for there.
    """
    asked = TASKS[spec.task].answers
    if spec.distillation.tangent.contraction == "pixels" and asked == "image":
        serves = [name for name, task in TASKS.items() if task.answers != "image"]
        raise ValueError(
            f"distillation.tangent.contraction is pixels, but the task {spec.task} has one answer "
            f"for an image; pixels serve {join_or(serves)}: set it to outputs"
        )
    if spec.compensation and spec.compensation.distillation.tangent.contraction == "pixels":
        raise ValueError(
            "compensation.distillation.tangent.contraction is pixels, but a compensation matches "
            "the kernels of captured images; set it to outputs"
        )


def check_methods(spec: Spec) -> None:
    """Refuse methods that the answers of the task give nothing to compare.

    Raises:
        ValueError: One of them does not serve the task.
    """
    stated = [("distillation.method", spec.distillation.method)]
    if spec.compensation:
        stated.append(("compensation.distillation.method", spec.compensation.distillation.method))
        stated += [("compensation.methods", one) for one in spec.compensation.methods]
    asked = TASKS[spec.task].answers
    for key, method in stated:
        why = explain_unserved(method, asked)
        if why:
            serving = [one for one in METHODS if not explain_unserved(one, asked)]
            tasks = [n for n, task in TASKS.items() if not explain_unserved(method, task.answers)]
            raise ValueError(
                f"{key} is {method}, which {why}, but the task {spec.task} has one answer for an "
                f"image; {method} serves {join_or(tasks)}, and {spec.task} takes "
                f"{join_or(serving)}"
            )


def name_design(spec: Spec) -> str | None:
    """Kind of the optics of a spec in the table of fabrication errors; None: no chip is simulated.

    A metasurface takes the place of the ideal kernels that it was designed for.
    """
    if spec.optics.metasurface is not None:
        return "metasurface"
    return FRONTENDS[spec.frontend].design


def list_robust_keys(spec: Spec) -> tuple[str, ...]:
    """Keys of the errors that robust training knows: pillars are there only after it."""
    design = FRONTENDS[spec.frontend].design
    return () if design is None else list_before_training(design)


def check_robust(spec: Spec) -> None:
    """Refuse robust training where no chip can be drawn of the kernels that are trained.

    Raises:
        ValueError: No process is stated, or none that changes kernels, or what is trained
            last are pillars.
    """
    if spec.fabrication is None:
        raise ValueError(
            "distillation.robust is true, but fabrication is not set, so the errors to train "
            "against have no size; set fabrication.preset to paper-mnist, for example"
        )
    if not FRONTENDS[spec.frontend].drawn_kernels:
        raise ValueError(
            f"distillation.robust is true, but optics.frontend is {spec.optics.frontend}, whose "
            "kernels do not train; leave robust out, or set optics.frontend to ideal"
        )
    keys = list_robust_keys(spec)
    if not any(getattr(spec.fabrication, name) for name in keys):
        what = "masks, lenses or light" if spec.optics.frontend == "four_f" else "kernels"
        raise ValueError(
            f"distillation.robust is true, but fabrication states no error of {what} to train "
            f"against; set one of {', '.join(keys)}, or leave robust out"
        )
    if spec.optics.strategy == "end-to-end":
        raise ValueError(
            "distillation.robust is true, but optics.strategy is end-to-end, which goes on to "
            "train pillars without errors; set optics.strategy to kernels-first, or leave robust "
            "out"
        )
