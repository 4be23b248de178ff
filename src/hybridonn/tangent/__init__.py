"""Tangent kernels of PyTorch networks: exact, sketched, of infinite width, and their alignment.

The package imports torch, numpy and the standard library alone. `empirical` holds the exact kernel
of a network, `infinite` the kernels of infinitely wide networks.
"""

from hybridonn.tangent.alignment import (
    centre,
    centre_without_diagonal,
    centred_alignment,
    cosine_alignment,
    debiased_alignment,
    mse,
    ridge_alignment,
    smoother,
)
from hybridonn.tangent.dense_features import DenseEnd, dense_features, find_dense_end
from hybridonn.tangent.empirical.gradient_factors import (
    ExplicitGradient,
    FactoredGradient,
    LayerCall,
)
from hybridonn.tangent.empirical.kernel import explain, ntk
from hybridonn.tangent.empirical.rules import Rule, ScaleShiftRule, register_rule
from hybridonn.tangent.errors import TangentError, TangentWarning
from hybridonn.tangent.features import feature_error, tangent_features
from hybridonn.tangent.sampled import sampled_ntk
from hybridonn.tangent.sketch import sketch, trace_estimate
from hybridonn.tangent.trace import Trace, record

__all__ = [
    "DenseEnd",
    "ExplicitGradient",
    "FactoredGradient",
    "LayerCall",
    "Rule",
    "ScaleShiftRule",
    "TangentError",
    "TangentWarning",
    "Trace",
    "centre",
    "centre_without_diagonal",
    "centred_alignment",
    "cosine_alignment",
    "debiased_alignment",
    "dense_features",
    "explain",
    "feature_error",
    "find_dense_end",
    "mse",
    "ntk",
    "record",
    "register_rule",
    "ridge_alignment",
    "sampled_ntk",
    "sketch",
    "smoother",
    "tangent_features",
    "trace_estimate",
]
