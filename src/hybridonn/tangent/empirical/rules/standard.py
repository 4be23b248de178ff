"""The rules of torch's own layers."""

from __future__ import annotations

from torch import nn

from hybridonn.tangent.empirical.rules.base import register_rule
from hybridonn.tangent.empirical.rules.convolution import ConvolutionRule
from hybridonn.tangent.empirical.rules.dense import DenseRule
from hybridonn.tangent.empirical.rules.normalisation import (
    BatchNormRule,
    GroupNormRule,
    InstanceNormRule,
    LayerNormRule,
    PReLURule,
    RMSNormRule,
)
from hybridonn.tangent.empirical.rules.transposed import TransposedRule


def register_standard_rules() -> None:
    """Register a rule for every layer of torch that has an exact one here."""
    register_rule(nn.Linear, DenseRule())
    for convolution in (nn.Conv1d, nn.Conv2d, nn.Conv3d):
        register_rule(convolution, ConvolutionRule())
    for transposed in (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d):
        register_rule(transposed, TransposedRule())
    for batch in (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d):
        register_rule(batch, BatchNormRule("weight", "bias"))
    for instance in (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d):
        register_rule(instance, InstanceNormRule("weight", "bias"))
    register_rule(nn.GroupNorm, GroupNormRule("weight", "bias"))
    register_rule(nn.LayerNorm, LayerNormRule("weight", "bias", trailing=True))
    register_rule(nn.RMSNorm, RMSNormRule("weight", trailing=True))
    register_rule(nn.PReLU, PReLURule("weight"))
