"""A third task, of which the house knows nothing: the depth of each pixel."""

from dataclasses import dataclass
from types import MappingProxyType

import torch

from hybridonn.core.errors import DataError

CLOSE = 1.25  # depths that differ by no more than this factor agree (Eigen et al. 2014)


@dataclass(frozen=True)
class Depth:
    """What a report asks of a task that regresses the depth of each pixel."""

    label_smoothing: float = 0.0
    metric = "delta1"
    label = "δ1"
    shares = ("delta1",)
    measures_note = "delta1 is the share of pixels whose depth is right within a factor of 1.25."
    sections = ("depth_maps",)
    contact_sheet = "hybridonn.reports.figures.contact_sheet:draw_images"
    estimates = MappingProxyType({})
    whole = False
    stored = MappingProxyType({"depth": 3})
    label_dimensions = 3

    def store(self, logits):
        """The depth of each pixel, (N, H, W); the network says its logarithm, (N, 1, H, W)."""
        return {"depth": logits.squeeze(1).exp()}

    def read_back(self, stored, classes):
        """The depth of each pixel, (N, H, W)."""
        return stored["depth"]

    def score_predicted(self, predicted, labels, classes):
        """The share of each image's pixels whose depth is close, (N,)."""
        factor = torch.maximum(predicted / labels, labels / predicted)
        return (factor < CLOSE).double().mean((1, 2))

    def check_predicted(self, predicted, labels, classes):
        """Refuse depths of other images, or that are not in front of the camera."""
        if predicted.shape != labels.shape or not (labels > 0).all() or not (predicted > 0).all():
            raise DataError(f"depths {tuple(predicted.shape)} for {tuple(labels.shape)}")

    def check_labels(self, labels, images, classes):
        """Refuse labels that are not a depth for each pixel."""
        if labels.shape != (len(images), *images.shape[2:]):
            raise DataError(f"depths {tuple(labels.shape)} of images {tuple(images.shape)}")

    def name_label(self, label, classes):
        """Empty: a depth has no name."""
        return ""
