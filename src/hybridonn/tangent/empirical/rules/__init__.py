"""Which layers have exact gradients layer by layer, and how each one's gradients factorise."""

from hybridonn.tangent.empirical.rules.base import Rule, register_rule, rule_of
from hybridonn.tangent.empirical.rules.convolution import ConvolutionRule
from hybridonn.tangent.empirical.rules.dense import DenseRule
from hybridonn.tangent.empirical.rules.pooled import CompiledRule, PooledRule
from hybridonn.tangent.empirical.rules.scale_shift import ScaleShiftRule
from hybridonn.tangent.empirical.rules.standard import register_standard_rules
from hybridonn.tangent.empirical.rules.transposed import TransposedRule

register_standard_rules()

__all__ = [
    "CompiledRule",
    "ConvolutionRule",
    "DenseRule",
    "PooledRule",
    "Rule",
    "ScaleShiftRule",
    "TransposedRule",
    "register_rule",
    "rule_of",
]
