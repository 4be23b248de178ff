"""Tangent kernels of PyTorch networks: empirical, sketched and compared."""

from hybridonn.tangent.alignment import centre, centred_alignment, cosine_alignment, mse
from hybridonn.tangent.errors import TangentError, TangentWarning
from hybridonn.tangent.features import tangent_features
from hybridonn.tangent.kernel import explain, ntk
from hybridonn.tangent.rules import Rule, ScaleShiftRule, register_rule
from hybridonn.tangent.sketch import sketch, trace_estimate
from hybridonn.tangent.trace import Trace, record

__all__ = [
    "Rule",
    "ScaleShiftRule",
    "TangentError",
    "TangentWarning",
    "Trace",
    "centre",
    "centred_alignment",
    "cosine_alignment",
    "explain",
    "mse",
    "ntk",
    "record",
    "register_rule",
    "sketch",
    "tangent_features",
    "trace_estimate",
]
