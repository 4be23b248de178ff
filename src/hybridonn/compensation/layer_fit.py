"""The layers of a backend set anew in closed form, each from what it sees behind a chip."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Layer = nn.Linear | nn.Conv2d | nn.ConvTranspose2d
AT_A_TIME = 500  # images at most; fixed, for sums of another order have other last digits
ROOM = 2**24  # numbers of what a layer sees that are held in float64 at once


def fit_layers(
    backend: nn.Module,
    design: nn.Module,
    measured: tuple[Tensor, ...],
    simulated: tuple[Tensor, ...],
    ridge: float,
    covered: tuple[Tensor, ...] | None = None,
) -> None:
    """Set every dense and convolutional layer anew, from the first to the last, in place.

    Depthwise convolutions stay as they are: what follows them makes up for it. Outputs of a
    convolution that depend on pixels that were not measured are left out where most others do
    not; a dense layer sees all pixels of a capture or none.

    Args:
        backend: What sees the measured features.
        design: The backend that saw the simulated ones: the target.
        measured: Features of each branch, (N, K_b, H_b, W_b).
        simulated: The same of the design.
        ridge: See :func:`fit_layer`.
        covered: Pixels of the features that were measured, (K_b, H_b, W_b) bool; None: all.
    """
    spoilt = tuple(one[:1].clone() for one in measured)
    for one, own in zip(spoilt, covered or (), strict=covered is not None):
        one[:, ~own] = torch.nan  # whatever it reaches becomes NaN, too
    for name in _order_of_call(backend, tuple(one[:1] for one in measured)):
        layer, target = backend.get_submodule(name), design.get_submodule(name)
        rows = _rows(layer, _see(backend, layer, spoilt)[0])  # pyright: ignore
        reached = rows.isnan().any(1)
        used = None if float(reached.float().mean()) > 0.5 else ~reached
        at_a_time = max(1, min(AT_A_TIME, ROOM // rows.numel()))
        pairs = (
            (_see(backend, layer, here)[0], _see(design, target, there)[1])
            for here, there in zip(
                _split(measured, at_a_time), _split(simulated, at_a_time), strict=True
            )
        )
        fit_layer(layer, pairs, ridge, used)  # pyright: ignore[reportArgumentType]


def fit_layer(
    layer: Layer,
    pairs: Iterable[tuple[Tensor, Tensor]],
    ridge: float,
    used: Tensor | None = None,
) -> None:
    """Ridge regression from what a layer sees to what it should give, near to what it is.

    Minimises ``|X W - Y|^2 + l |W - W0|^2`` (Hoerl and Kennard 1970, with the design W0 in
    place of zero): ``W = W0 + (X'X + l I)^-1 X'(Y - X W0)``, l = ridge times the mean of the
    diagonal of X'X, in float64. A bias is one more row of W, whose input is one.

    Args:
        layer: Dense or convolutional; set in place.
        pairs: Its inputs and its wanted outputs, batch by batch.
        ridge: Relative to the mean squared input.
        used: Outputs of an image that count, (P,) bool; None: all.
    """
    weight = _read_weight(layer)
    gram = weight.new_zeros(weight.shape[1], weight.shape[1])
    moment = weight.new_zeros(weight.shape[1], weight.shape[0])
    for seen, wanted in pairs:
        rows = _rows(layer, seen).double()
        targets = _unfold_outputs(layer, wanted).reshape(len(rows), -1)
        if used is not None:
            some = used.repeat(len(rows) // len(used))
            rows, targets = rows[some], targets[some]
        gram += rows.T @ rows
        moment += rows.T @ (targets - rows @ weight.T)
    gram += ridge * gram.diagonal().mean() * torch.eye(len(gram)).to(gram)
    _write_weight(layer, weight + _solve(layer, gram, moment).T)


def _solve(layer: Layer, gram: Tensor, moment: Tensor) -> Tensor:
    """The change of a layer's weights, (D, outputs), with one bias for all pixels of a channel.

    The pixels that an up-convolution makes of one have weights of their own and a bias in
    common: the mean of those that they would have, with the weights that belong to it.
    """
    change = torch.linalg.solve(gram, moment)
    if layer.bias is None or not isinstance(layer, nn.ConvTranspose2d):
        return change
    pixels = change.shape[1] // len(layer.bias)
    common = change[-1].view(-1, pixels).mean(1).repeat_interleave(pixels)
    rest = torch.linalg.solve(gram[:-1, :-1], moment[:-1] - gram[:-1, -1:] * common)
    return torch.cat([rest, common[None]])


def _read_weight(layer: Layer) -> Tensor:
    """The weights of a layer, (outputs, D) float64, the bias in the last column."""
    bias = layer.bias
    if isinstance(layer, nn.ConvTranspose2d):
        (inputs, outputs, side, _), step = layer.weight.shape, layer.stride[0]
        reach = side // step
        parts = layer.weight.view(inputs, outputs, reach, step, reach, step).flip(2, 4)
        weight = parts.permute(1, 3, 5, 0, 2, 4).reshape(outputs * step**2, -1).double()
        bias = None if bias is None else bias.repeat_interleave(step**2)
    else:
        weight = layer.weight.flatten(1).double()
    return weight if bias is None else torch.cat([weight, bias[:, None].double()], 1)


def _write_weight(layer: Layer, weight: Tensor) -> None:
    """Put weights, (outputs, D), as :func:`_read_weight` gives them into a layer."""
    if layer.bias is not None:
        bias, weight = weight[:, -1], weight[:, :-1]
        layer.bias.copy_(bias[:: len(bias) // len(layer.bias)])
    if isinstance(layer, nn.ConvTranspose2d):
        (inputs, outputs, side, _), step = layer.weight.shape, layer.stride[0]
        reach = side // step
        parts = weight.view(outputs, step, step, inputs, reach, reach)
        weight = parts.permute(3, 0, 4, 1, 5, 2).flip(2, 4).reshape(layer.weight.shape)
    layer.weight.copy_(weight.view_as(layer.weight))


def _order_of_call(backend: nn.Module, features: tuple[Tensor, ...]) -> list[str]:
    """The names of the layers that can be fitted, in the order in which they are called."""
    called: list[str] = []
    hooks = [
        layer.register_forward_hook(lambda *_, name=name: called.append(name))
        for name, layer in backend.named_modules()
        if _can_be_fitted(layer)
    ]
    backend(features)
    for hook in hooks:
        hook.remove()
    return called


def _can_be_fitted(layer: nn.Module) -> bool:
    if isinstance(layer, nn.ConvTranspose2d):
        side, step, reach = layer.kernel_size[0], layer.stride[0], layer.padding[0]  # pyright: ignore
        square = all(len(set(one)) == 1 for one in (layer.kernel_size, layer.stride))  # pyright: ignore
        pixels = side // step
        # Each output sees an odd number of inputs around the one that it lies in.
        centred = side % step == 0 and pixels % 2 == 1 and reach == pixels // 2 * step
        plain = layer.groups == 1 and layer.dilation == (1, 1) and layer.output_padding == (0, 0)
        return square and centred and plain
    return isinstance(layer, nn.Linear) or (isinstance(layer, nn.Conv2d) and layer.groups == 1)


def _see(
    backend: nn.Module, layer: nn.Module, features: tuple[Tensor, ...]
) -> tuple[Tensor, Tensor]:
    """What a layer of a backend takes and gives for these features."""
    seen: list[tuple[Tensor, Tensor]] = []

    def watch(_: nn.Module, taken: tuple[Tensor, ...], given: Tensor) -> None:
        seen.append((taken[0], given))

    hook = layer.register_forward_hook(watch)
    backend(features)
    hook.remove()
    return seen[0]


def _rows(layer: Layer, seen: Tensor) -> Tensor:
    """What each output of a layer is a product of, a row an output: (M, D), ones for the bias.

    The outputs that an up-convolution makes of one pixel are one row.
    """
    if isinstance(layer, nn.ConvTranspose2d):
        reach = layer.kernel_size[0] // layer.stride[0]
        seen = F.unfold(seen, reach, padding=reach // 2).transpose(1, 2)
    if isinstance(layer, nn.Conv2d):
        patches = F.unfold(
            seen,
            layer.kernel_size,  # pyright: ignore[reportArgumentType]
            layer.dilation,  # pyright: ignore[reportArgumentType]
            layer.padding,  # pyright: ignore[reportArgumentType]
            layer.stride,  # pyright: ignore[reportArgumentType]
        )
        seen = patches.transpose(1, 2)
    rows = seen.reshape(-1, seen.shape[-1])
    return rows if layer.bias is None else F.pad(rows, (0, 1), value=1.0)


def _unfold_outputs(layer: Layer, wanted: Tensor) -> Tensor:
    """Outputs (N, C, ...) with the channels last; those of one row are channels of one pixel."""
    if isinstance(layer, nn.ConvTranspose2d):
        wanted = F.pixel_unshuffle(wanted, layer.stride[0])
    return wanted.movedim(1, -1)


def _split(branches: tuple[Tensor, ...], size: int) -> Iterable[tuple[Tensor, ...]]:
    return zip(*(one.split(size) for one in branches), strict=True)
