"""Stage ``student``: the teacher's knowledge, distilled into the hybrid network."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import nn

from hybridonn.data.batches import to_scene
from hybridonn.data.dataset import Dataset
from hybridonn.distillation.best_epoch import find_best
from hybridonn.distillation.knowledge import Knowledge
from hybridonn.distillation.objective import Objective, weigh
from hybridonn.distillation.tasks import TASKS
from hybridonn.distillation.training import Behind, Lesson, predict, train
from hybridonn.files import write_arrays
from hybridonn.networks.drawn_chips import behind_chip, draw_chip
from hybridonn.networks.frontends import as_branches
from hybridonn.networks.hybrid import HybridNetwork, count_parameters
from hybridonn.networks.students import build_student
from hybridonn.optics.layout import lay_out
from hybridonn.pipeline.evidence import keep_evidence, keep_outcome
from hybridonn.pipeline.knowledge import load_aligned, load_knowledge, watched_kernel
from hybridonn.pipeline.stage import Finished, fingerprint, finish
from hybridonn.progress import Progress
from hybridonn.spec import Fabrication, Spec
from hybridonn.spec.tree import ON_KERNELS
from hybridonn.tangent import centred_alignment

SHOWN = 6  # test images whose pictures behind the optics are kept for the report


def distil(
    spec: Spec,
    dataset: Dataset,
    teacher: Finished,
    knowledge: Finished,
    folder: Path,
    progress: Progress,
    illustrated: bool = True,
) -> Finished:
    """Train the student by the method of the spec.

    Args:
        spec: Design, method, training and seed.
        dataset: Images, split.
        teacher: The finished stage ``teacher``.
        knowledge: The finished stage ``knowledge``.
        folder: Where the artefacts belong.
        progress: Shows how far it is.
        illustrated: Whether to keep what only a report needs.

    Raises:
        SpecError: The design does not fit the images.
        TrainingError: The loss is not finite.
    """
    errors = _trained_errors(spec)
    mark = fingerprint(
        stage="student",
        data=dataset.checksum,
        task=spec.task,
        seed=spec.seed,
        student=spec.student.model_dump(mode="json"),
        optics=_trained_optics(spec),
        distillation=spec.distillation.model_dump(mode="json", exclude={"robust"}),
        **({"errors": _see_chips(spec, errors)} if errors else {}),
        training=spec.training.model_dump(mode="json"),
        teacher=teacher.fingerprint,
        illustrated=illustrated,
    )

    def work(part: Path) -> dict[str, Any]:
        answers = load_knowledge(spec, dataset, teacher, knowledge)
        aligned = load_aligned(knowledge)
        return _train(spec, dataset, answers, aligned, part, progress, illustrated)

    return finish(folder, mark, work)


def _trained_optics(spec: Spec) -> dict[str, Any] | None:
    """What training sees of the optics: nothing where they are ideal."""
    if spec.optics.frontend == "ideal":
        return None
    seen = {"four_f", "frontend", "wavelengths_nm"}
    return spec.optics.model_dump(mode="json", include=seen)


def _trained_errors(spec: Spec) -> Fabrication | None:
    """What training sees of fabrication: nothing where it is not robust."""
    return spec.fabrication if spec.distillation.robust else None


def _see_chips(spec: Spec, errors: Fabrication) -> dict[str, Any]:
    """What robust training sees of the chips: errors, and who is whose neighbour."""
    layout = lay_out(spec.optics, spec.student.kernels).to_dict()
    return errors.model_dump(mode="json", include=set(ON_KERNELS)) | {"layout": layout}


def _behind_chips(spec: Spec) -> Behind:
    """Each training step behind a chip of its own, where training is robust."""
    errors = _trained_errors(spec)
    if errors is None:
        return lambda network, step: nullcontext()
    layout = lay_out(spec.optics, spec.student.kernels)
    return lambda network, step: behind_chip(network, draw_chip(errors, spec.seed, step), layout)


def _train(
    spec: Spec,
    dataset: Dataset,
    knowledge: Knowledge,
    aligned: torch.Tensor,
    part: Path,
    progress: Progress,
    illustrated: bool,
) -> dict[str, Any]:
    student = build_student(
        spec.student, dataset.image_shape, len(dataset.classes), spec.seed, spec.optics
    )
    task = TASKS[spec.task](spec.training.label_smoothing)
    lesson = Lesson(
        Objective(task, spec.distillation, knowledge),
        dataset.student_train,
        dataset.validation,
        spec.training,
        spec.seed,
        f"student ({spec.distillation.method}, seed {spec.seed})",
        lambda network: {"alignment": _align(network, spec, dataset, aligned)},
        _behind_chips(spec),
    )
    history = train(student, lesson, part / "checkpoint.safetensors", progress)
    logits = predict(student, dataset.test.images)
    if illustrated:
        keep_evidence(part, student, history, logits, dataset.test)
        _keep_optics(part, student, dataset)
    else:
        keep_outcome(part, student, history, logits, dataset.test)
    best = history[find_best(history, task.metric)]
    return {
        "method": spec.distillation.method,
        "seed": spec.seed,
        **task.measure(logits, dataset.test.labels),
        f"validation_{task.metric}": best[f"validation_{task.metric}"],
        "alignment": best["alignment"],
        "epochs": len(history),
        "best_epoch": best["epoch"],
        "seconds": round(sum(row["seconds"] for row in history), 2),
        "parameters": {
            "optical": count_parameters(student.frontend),
            "digital": count_parameters(student.backend),
        },
        "weights": vars(weigh(spec.distillation)),
    }


def _align(student: nn.Module, spec: Spec, dataset: Dataset, aligned: torch.Tensor) -> float:
    kernel = watched_kernel(student, spec, dataset)
    return float(centred_alignment(kernel, aligned.to(kernel.device)))


@torch.no_grad()
def _keep_optics(part: Path, student: HybridNetwork, dataset: Dataset) -> None:
    some = dataset.test.take(torch.arange(min(SHOWN, len(dataset.test))))
    scene = to_scene(some.images)
    pictures = student.frontend(scene.to(next(student.parameters()).device))
    write_arrays(part / "kernels.npz", kernels=student.frontend.signed_kernels().cpu().numpy())
    write_arrays(
        part / "examples.npz",
        scene=scene.numpy(),
        features=_join_pictures(as_branches(pictures)).contiguous().numpy(),
        labels=some.labels.numpy(),
    )


def _join_pictures(branches: tuple[torch.Tensor, ...]) -> torch.Tensor:
    """All kernels' pictures, (B, K, H', W'), coarser ones with each pixel repeated."""
    height, width = branches[0].shape[-2:]
    same = [
        one.repeat_interleave(height // one.shape[-2], -2).repeat_interleave(
            width // one.shape[-1], -1
        )
        for one in branches
    ]
    return torch.cat(same, 1).float().cpu()
