"""What can be wrong with a tangent kernel, said so that it can be mended."""

from hybridonn.errors import HybridonnError


class TangentError(HybridonnError):
    """A tangent kernel cannot be computed: the message names the layer or value and the cure."""


class TangentWarning(UserWarning):
    """A tangent kernel is right but was reached by a slower way than its layer-by-layer one."""
