"""Classification: one class an image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from hybridonn.core.errors import DataError
from hybridonn.tasks.classes import check_classes, check_pairs, count_shares, share_equal
from hybridonn.tasks.diagnosis import Diagnosis, bootstrap
from hybridonn.tasks.divergence import soft_divergence
from hybridonn.tasks.entropy import weighted_entropy
from hybridonn.tasks.patients import diagnose_patients
from hybridonn.tasks.pixels import SampledPixels
from hybridonn.tasks.strata import Strata
from hybridonn.tasks.task import Move


@dataclass(frozen=True)
class Classification:
    """One class an image.

    Attributes:
        label_smoothing: Share of the truth that is spread over all classes (Szegedy et
            al. 2016, section 7). It spoils what a teacher has to say of the classes'
            likeness (Müller, Kornblith and Hinton 2019).
        focal_gamma: Exponent of the focal factor of the loss; 0: there is none.
        class_weights: Weight of each class in the loss; None: all alike.
    """

    label_smoothing: float = 0.0
    focal_gamma: float = 0.0
    class_weights: tuple[float, ...] | None = None
    metric: ClassVar[str] = "accuracy"
    label: ClassVar[str] = "accuracy"
    shares: ClassVar[tuple[str, ...]] = (
        *("accuracy", "balanced_accuracy", "sensitivity", "specificity", "auc"),
    )
    measures_note: ClassVar[str] = (
        "Accuracies are shares of the test images; balanced_accuracy is the mean of the classes' "
        "recalls, auc the area under the ROC curve, and intervals hold their 95 % intervals by the "
        "bootstrap. by_patient: of patients, whose images' mean probabilities decide."
    )
    sections: ClassVar[tuple[str, ...]] = (
        *("confusion", "embedding"),
        *("chip_confusion", "chip_embedding"),
    )
    contact_sheet: ClassVar[str] = "hybridonn.reports.figures.contact_sheet:draw_classes"
    estimates: ClassVar[Mapping[str, str]] = MappingProxyType(
        {
            "design": "hybridonn.estimation.estimators:estimate_drawn",
            "infinite": "hybridonn.estimation.estimators:estimate_infinite",
            "lens": "hybridonn.estimation.lens:estimate_lens",
        }
    )
    unestimated: ClassVar[str] = ""
    drawn_live: ClassVar[bool] = True
    whole: ClassVar[bool] = True
    logit_dtype: ClassVar[torch.dtype] = torch.float32
    stored: ClassVar[Mapping[str, int]] = MappingProxyType({"logits": 2})
    label_dimensions: ClassVar[int] = 1

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy of logits (B, classes) and labels (B,)."""
        return weighted_entropy(
            logits, labels, self.label_smoothing, self.focal_gamma, self.class_weights
        )

    def score(self, logits: Tensor, labels: Tensor) -> Tensor:
        """1 where the largest logit is the label's, else 0: (B,)."""
        return self.score_predicted(self.predict(logits), labels, logits.shape[1])

    def score_predicted(self, predicted: Tensor, labels: Tensor, classes: int) -> Tensor:
        """1 where the class is the label, else 0: (N,)."""
        return (predicted == labels).float()

    def measure(self, logits: Tensor, labels: Tensor) -> dict[str, float]:
        """The share of images that are named rightly, and what :mod:`.diagnosis` measures."""
        accuracy = {self.metric: float(self.score(logits, labels).mean())}
        return accuracy | _diagnose(logits, labels).measure(np.ones(len(labels)))

    def intervals(
        self, logits: Tensor, labels: Tensor, patients: Sequence[str] | None = None
    ) -> dict[str, tuple[float, float]]:
        """The 95 % intervals of what :mod:`.diagnosis` measures, by the bootstrap."""
        return bootstrap(_diagnose(logits, labels), len(labels), patients)

    def diagnose_patients(
        self, logits: Tensor, labels: Tensor, patients: Sequence[str]
    ) -> dict[str, Any]:
        """What :mod:`.patients` measures: by the mean probability of a patient's images."""
        return diagnose_patients(_share(logits), labels.numpy(), patients)

    def predict(self, logits: Tensor) -> Tensor:
        """The class of each image, (B,)."""
        return logits.argmax(1)

    def share_same(self, predicted: Tensor, others: Tensor) -> float:
        """The share of images with the same class."""
        return float((predicted == others).float().mean())

    def store(self, logits: Tensor) -> dict[str, Tensor]:
        """The logits, (N, classes)."""
        return {"logits": logits}

    def list_boxes(self, predicted: Tensor) -> Tensor | None:
        """None: predictions are no boxes."""
        return None

    def read_back(self, stored: Mapping[str, Tensor], classes: int) -> Tensor:
        """The class of each image, (N,), from stored logits.

        Raises:
            DataError: There are more or fewer logits than classes.
        """
        logits = stored["logits"]
        if logits.shape[1] != classes:
            raise DataError(
                f"an image has {logits.shape[1]} logits, and there are {classes} classes; each "
                "class needs one"
            )
        return self.predict(logits)

    def check_predicted(self, predicted: Tensor, labels: Tensor, classes: int) -> None:
        """Refuse predictions and labels that are not one class an image.

        Raises:
            DataError: The shapes differ, or a value names no class.
        """
        check_pairs(predicted, labels, classes)

    def output_shape(self, classes: int, image_shape: tuple[int, int, int]) -> tuple[int, ...]:
        """A logit a class."""
        return (classes,)

    def name_label(self, label: Tensor, classes: tuple[str, ...]) -> str:
        """The name of the class."""
        return classes[int(label)]

    def divergence(self, student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
        """``T^2 KL(softmax(teacher/T) || softmax(student/T))``, Hinton et al. 2015, section 2."""
        return soft_divergence(student, teacher, temperature)

    def class_maps(self, outputs: Tensor) -> None:
        """None: an image has one class, wherever that is."""
        return

    def contraction(self, probes: int | None) -> int | None:
        """All classes, unless signs are asked for."""
        return probes

    def sample_pixels(self, labels: Tensor, count: int, size: tuple[int, int]) -> None:
        """None: an image has one class."""
        return

    def label_pixels(self, labels: Tensor, pixels: SampledPixels) -> None:
        """None: an image has one class."""
        return

    def label_kernel(self, labels: Tensor) -> Tensor:
        """1 where the class is the same, else 0."""
        return share_equal(labels)

    def check_labels(self, labels: Tensor, images: Tensor, classes: int) -> None:
        """Refuse labels that are not one class an image.

        Raises:
            DataError: They have another shape or type, or name no class.
        """
        if labels.shape != images.shape[:1]:
            raise DataError(
                f"there are {len(images)} images and labels of shape {tuple(labels.shape)}; "
                "each image needs one class"
            )
        check_classes(labels, classes)

    def move_labels(self, labels: Tensor, move: Move) -> Tensor:
        """The same labels: the class of an image does not change when it is moved."""
        return labels

    def stratify(self, labels: Tensor, classes: tuple[str, ...]) -> Strata:
        """The classes."""
        return Strata(labels.numpy(), classes, "classes")

    def cover(self, labels: Tensor, classes: tuple[str, ...]) -> Strata:
        """The classes."""
        return self.stratify(labels, classes)

    def balance(self, labels: Tensor, classes: int) -> Tensor:
        """The share of the images that each class has, (classes,), float64."""
        return count_shares(labels, classes)

    def draw_labels(self, labels: Tensor, classes: int) -> Tensor | None:
        """None: a label is no image."""
        return None

    def remark(self, labels: Tensor, part: str) -> list[str]:
        """Nothing: one label cannot be suspicious."""
        return []


def _diagnose(logits: Tensor, labels: Tensor) -> Diagnosis:
    return Diagnosis(_share(logits), labels.numpy())


def _share(logits: Tensor) -> np.ndarray:
    """Probabilities, (N, classes), float64."""
    return torch.softmax(logits.double(), 1).numpy()
