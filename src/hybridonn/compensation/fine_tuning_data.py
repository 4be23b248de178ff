"""What a backend learns from behind one chip: captures, and images shown to its digital twin."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from hybridonn.compensation.calibration import Calibration
from hybridonn.compensation.capture_pair import CapturePair
from hybridonn.compensation.coherent_twin import fit_coherent_twin
from hybridonn.compensation.digital_twin import DigitalTwin, fit_digital_twin
from hybridonn.core.random import generator_of, seed_of
from hybridonn.data.dataset import ImageSet, join_sets
from hybridonn.networks.frontends.four_f import FourFFrontend
from hybridonn.networks.frontends.frontend import Frontend
from hybridonn.networks.hybrid import HybridNetwork
from hybridonn.spec import Compensation


@dataclass(frozen=True)
class FineTuningData:
    """What a backend may learn from behind one chip.

    Attributes:
        captured: Captures of training images.
        others: Training images that were not captured; the chip's digital twin sees them.
    """

    captured: CapturePair
    others: ImageSet

    @cached_property
    def shown(self) -> ImageSet:
        """All images that are learnt from, the captured ones last."""
        return join_sets([self.others, self.captured.shown])


def draw_fine_tuning_data(
    images: ImageSet,
    chosen: Tensor,
    capture: Callable[[ImageSet], CapturePair],
    settings: Compensation,
) -> FineTuningData:
    """Capture the chosen training images; of the others draw those that the digital twin sees.

    Args:
        images: All training images.
        chosen: Positions of those that are captured.
        capture: The chip and its camera.
        settings: Which part of the others, and the seed.
    """
    return FineTuningData(capture(images.take(chosen)), draw_others(images, chosen, settings))


def draw_others(images: ImageSet, captured: Tensor, settings: Compensation) -> ImageSet:
    """``twin_fraction`` of the training images that were not captured, drawn by the seed.

    Args:
        images: All training images.
        captured: Positions of those that were captured.
        settings: Which part of the others, and the seed.
    """
    left = torch.ones(len(images), dtype=torch.bool)
    left[captured] = False
    others = left.nonzero()[:, 0]
    order = torch.randperm(len(others), generator=generator_of("twin images", settings.seed))
    return images.take(others[order[: round(settings.twin_fraction * len(others))]])


def compute_features(
    settings: Compensation,
    student: HybridNetwork,
    calibration: Calibration,
    data: FineTuningData,
) -> tuple[Tensor, ...]:
    """The signed features of all images that are learnt from, (N, K_b, H_b, W_b) a branch.

    Args:
        settings: Seed of the digital twin's camera.
        student: With the optics as designed.
        calibration: The gains of the sub-optics.
        data: What is learnt from.
    """
    captured = data.captured.subtract(calibration.gains)
    if not len(data.others):
        return captured
    twin = fit_twin(data.captured, student.frontend)
    count, seed = len(data.others), seed_of("twin captures", settings.seed)
    # Filled in place: a large set takes gigabytes, once.
    features = tuple(one.new_empty(count + len(one), *one.shape[1:]) for one in captured)
    for one, own in zip(features, captured, strict=True):
        one[count:] = own
    twin.capture(data.others, calibration.gains, seed, tuple(one[:count] for one in features))
    return features


def fit_twin(captured: CapturePair, design: Frontend) -> DigitalTwin:
    """A digital twin of a chip, by the model of its optics.

    Args:
        captured: Captures of training images behind the chip.
        design: The optics as designed.

    Raises:
        OpticsError: The captures of these optics are no convolution of the scene.
    """
    if isinstance(design, FourFFrontend):
        return fit_coherent_twin(captured, design)
    return fit_digital_twin(captured, design.convolutions())
