"""Normalising layers: a scale and a shift after a normalisation of each sample's own."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hybridonn.tangent.empirical.rules.scale_shift import ScaleShiftRule
from hybridonn.tangent.empirical.torch_internals import BatchNorm, InstanceNorm


class BatchNormRule(ScaleShiftRule):
    """Batch norm with its running statistics: ``a_hat = (a - mean) / sqrt(var + eps)``."""

    name = "batch norm (running statistics)"

    def normalised(self, layer: nn.Module, inputs: Tensor) -> Tensor:
        """The normalised inputs, in the inputs' shape."""
        layer = cast(BatchNorm, layer)
        return F.batch_norm(inputs, layer.running_mean, layer.running_var, eps=layer.eps)


class GroupNormRule(ScaleShiftRule):
    """Group norm: each sample's groups of channels by their own mean and variance."""

    name = "group norm"

    def normalised(self, layer: nn.Module, inputs: Tensor) -> Tensor:
        """The normalised inputs, in the inputs' shape."""
        layer = cast(nn.GroupNorm, layer)
        return F.group_norm(inputs, layer.num_groups, eps=layer.eps)


class InstanceNormRule(ScaleShiftRule):
    """Instance norm by each sample's own statistics, or by running ones in inference."""

    name = "instance norm"

    def normalised(self, layer: nn.Module, inputs: Tensor) -> Tensor:
        """The normalised inputs, in the inputs' shape."""
        layer = cast(InstanceNorm, layer)
        if layer.training or layer.running_mean is None:
            return F.instance_norm(inputs, eps=layer.eps)
        return F.batch_norm(inputs, layer.running_mean, layer.running_var, eps=layer.eps)


class LayerNormRule(ScaleShiftRule):
    """Layer norm: the last axes of each position by their own mean and variance."""

    name = "layer norm"

    def normalised(self, layer: nn.Module, inputs: Tensor) -> Tensor:
        """The normalised inputs, in the inputs' shape."""
        layer = cast(nn.LayerNorm, layer)
        return F.layer_norm(inputs, layer.normalized_shape, eps=layer.eps)


class RMSNormRule(ScaleShiftRule):
    """Root-mean-square norm (Zhang and Sennrich, NeurIPS 2019) of the last axes."""

    name = "RMS norm"

    def normalised(self, layer: nn.Module, inputs: Tensor) -> Tensor:
        """The normalised inputs, in the inputs' shape."""
        layer = cast(nn.RMSNorm, layer)
        return F.rms_norm(inputs, list(layer.normalized_shape), eps=layer.eps)


class PReLURule(ScaleShiftRule):
    """Parametric ReLU: ``z = max(a, 0) + scale min(a, 0)``."""

    name = "PReLU"

    def normalised(self, layer: nn.Module, inputs: Tensor) -> Tensor:
        """What the slope multiplies, in the inputs' shape."""
        return torch.clamp(inputs, max=0)
