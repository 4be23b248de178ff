"""The estimate of a design behind a plain lens, in which no kernel is drawn or trained."""

from __future__ import annotations

from torch.nn.functional import adaptive_avg_pool2d

from hybridonn.core.errors import SpecError
from hybridonn.estimation.estimate import Estimate, estimate_accuracy
from hybridonn.estimation.estimators import EstimateInputs
from hybridonn.networks.backends.build import find_built_in
from hybridonn.networks.backends.table import BACKENDS
from hybridonn.tangent.infinite import AdaptiveAveragePool, Layer, Relu


def estimate_lens(inputs: EstimateInputs) -> Estimate:
    """Classify images by the infinitely wide backend alone: a lens gives it the image itself.

    Brightness is never negative, so that the first ReLU changes nothing and is left out.

    Args:
        inputs: The design and its images; the number of its kernels has no meaning.

    Raises:
        SpecError: The wide network of the backend is not known.
    """
    layers = list_seen_layers(inputs)
    stride = inputs.student.stride
    (train, labels), (test, tested) = inputs.train, inputs.test
    seen = [images[:, :, ::stride, ::stride] for images in (train, test)]
    if isinstance(layers[0], AdaptiveAveragePool):
        # A mean of pixels has no weights: the kernel of the pooled images is the same, and small.
        seen = [adaptive_avg_pool2d(images, layers[0].out) for images in seen]
        layers = layers[1:]
    return estimate_accuracy(
        layers,
        seen[0],
        labels,
        seen[1],
        tested,
        settings=inputs.settings,
        progress=inputs.progress,
        folder=inputs.folder,
    )


def list_seen_layers(inputs: EstimateInputs) -> tuple[Layer, ...]:
    """The layers behind the lens.

    Raises:
        SpecError: They are not known.
    """
    name = inputs.student.backend
    known = find_built_in(name) if name in BACKENDS else None
    behind = known.wide_layers(inputs.student) if known else None
    if behind is None:
        raise SpecError(
            f"student.backend is {name!r}, whose infinitely wide network is not known, so there is "
            "no estimate of it behind a lens"
        )
    return behind[1:] if isinstance(behind[0], Relu) else behind
