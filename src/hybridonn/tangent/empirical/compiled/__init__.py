"""Compiled code for what torch has no operation for: sums over the maxima of a pooling.

Built by the machine's C compiler at first use and kept in the user's cache; without a compiler
everything goes through torch.
"""

from hybridonn.tangent.empirical.compiled.library import is_available
from hybridonn.tangent.empirical.compiled.maxima import (
    ConvolutionGeometry,
    Maxima,
    gradients_at_maxima,
    gram,
    inputs_from_maxima,
)

__all__ = [
    "ConvolutionGeometry",
    "Maxima",
    "gradients_at_maxima",
    "gram",
    "inputs_from_maxima",
    "is_available",
]
