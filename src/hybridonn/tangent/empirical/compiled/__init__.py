"""Compiled code for what torch has no operation for: sums behind a pooling.

Built by the machine's C compiler at first use and kept in the user's cache; without a compiler
everything goes through torch.
"""

from hybridonn.tangent.empirical.compiled.library import is_available
from hybridonn.tangent.empirical.compiled.maxima import (
    ConvolutionGeometry,
    GradientsOfRows,
    Maxima,
    Windows,
    gram,
    gram_of_factors,
    inputs_behind_pooling,
)

__all__ = [
    "ConvolutionGeometry",
    "GradientsOfRows",
    "Maxima",
    "Windows",
    "gram",
    "gram_of_factors",
    "inputs_behind_pooling",
    "is_available",
]
