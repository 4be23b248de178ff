"""The tangent kernel of a network whose samples are sampled pixels of its answers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn

from hybridonn.data.indexed import Inputs
from hybridonn.tangent import Trace, sampled_ntk
from hybridonn.tasks.pixels import SampledPixels


def compute_pixel_kernel(
    trace: Trace,
    network: nn.Module,
    inputs: Inputs,
    outputs: Tensor,
    pixels: SampledPixels,
    layers: str | tuple[str, ...],
) -> Tensor:
    """The kernel of sampled pixels, (B P, B P), differentiable in the parameters.

    Args:
        trace: The layers of the forward pass that gave the outputs.
        network: The network.
        inputs: What it was given, scenes (B, C, H, W).
        outputs: What it answered, (B, classes, H', W').
        pixels: The pixels, sampled at any size.
        layers: The layers of the trace.

    Raises:
        TypeError: The inputs are stored features where the layers ask for backward passes.
    """
    places = pixels.on((outputs.shape[2], outputs.shape[3]))
    kernel = trace.kernel_at(outputs, places)
    if kernel is not None:
        return kernel
    if isinstance(inputs, tuple):
        raise TypeError("the kernel of pixels is of networks that see images, not stored features")
    with inference_mode(network):
        return sampled_ntk(network, inputs, places, layers=layers, create_graph=True)


@contextmanager
def inference_mode(network: nn.Module) -> Iterator[None]:
    """Within this context, batch norm does not couple samples and dropout is off."""
    modes = {module: module.training for module in network.modules()}
    try:
        network.eval()
        yield
    finally:
        for module, training in modes.items():
            module.training = training
