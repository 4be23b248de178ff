"""Which layers have exact gradients layer by layer, and how each one's gradients factorise."""

from hybridonn.tangent.rules.base import Rule, register_rule, rule_of
from hybridonn.tangent.rules.convolution import ConvolutionRule
from hybridonn.tangent.rules.dense import DenseRule
from hybridonn.tangent.rules.scale_shift import ScaleShiftRule
from hybridonn.tangent.rules.standard import register_standard_rules
from hybridonn.tangent.rules.transposed import TransposedRule

register_standard_rules()

__all__ = [
    "ConvolutionRule",
    "DenseRule",
    "Rule",
    "ScaleShiftRule",
    "TransposedRule",
    "register_rule",
    "rule_of",
]
