"""The error and the warning of this package."""


class TangentError(ValueError):
    """A tangent kernel cannot be computed: the message names the layer or value and the cure."""


class TangentWarning(UserWarning):
    """A tangent kernel is right but was reached by a slower way than its layer-by-layer one."""
