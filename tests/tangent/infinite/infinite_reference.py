"""Kernels by other means: the whole covariance in float64, and wide finite networks."""

import math

import torch
from torch.nn import functional as F

from hybridonn.tangent.infinite.layers import (
    AdaptiveAveragePool,
    AveragePool,
    Convolution,
    Dense,
    Flatten,
    Relu,
    Residual,
)


def naive_kernels(layers, x1, x2):
    """NNGP and NTK with every position pair, one image pair at a time, float64."""
    out = torch.empty(2, len(x1), len(x2), dtype=torch.float64)
    for i, one in enumerate(x1.double()):
        for j, two in enumerate(x2.double()):
            tensors = [_pixel_covariance(a, b) for a, b in ((one, one), (two, two), (one, two))]
            tangents = [torch.zeros_like(t) for t in tensors]
            tensors, tangents = _layers(layers, tensors, tangents)
            out[0, i, j], out[1, i, j] = tensors[2].item(), tangents[2].item()
    return out[0], out[1]


def _pixel_covariance(a, b):
    return torch.einsum("cyx,cvu->yxvu", a, b) / len(a)


def _layers(layers, tensors, tangents):
    for layer in layers:
        match layer:
            case Relu():
                tensors, tangents = _relu(tensors, tangents)
            case Residual():
                one = _layers(layer.branch, tensors, tangents)
                two = _layers(layer.shortcut, tensors, tangents)
                tensors = [a + b for a, b in zip(one[0], two[0], strict=True)]
                tangents = [a + b for a, b in zip(one[1], two[1], strict=True)]
            case Convolution() | Dense():
                if isinstance(layer, Convolution):
                    tensors = [_convolve(layer, t) for t in tensors]
                    tangents = [_convolve(layer, t) for t in tangents]
                tensors = [layer.weight_variance * t + layer.bias_variance for t in tensors]
                tangents = [
                    layer.weight_variance * g + (t if layer.trained else 0)
                    for t, g in zip(tensors, tangents, strict=True)
                ]
            case _:
                tensors = [_pool(layer, t) for t in tensors]
                tangents = [_pool(layer, t) for t in tangents]
    return tensors, tangents


def _relu(tensors, tangents):
    first, second = (torch.einsum("yxyx->yx", t) for t in tensors[:2])
    pairs = [(first, first), (second, second), (first, second)]
    new = [], []
    for t, g, (a, b) in zip(tensors, tangents, pairs, strict=True):
        scale = (a[:, :, None, None] * b).sqrt()
        angle = torch.where(scale > 0, t / scale, 0).clamp(-1, 1).acos()
        new[0].append(scale * (angle.sin() + (math.pi - angle) * angle.cos()) / (2 * math.pi))
        new[1].append(g * (math.pi - angle) / (2 * math.pi))
    return new


def _convolve(layer, t):
    p, k, s = layer.padding, layer.kernel_size, layer.stride
    padded = F.pad(t, [p] * 8)
    height, width = ((padded.shape[d] - k) // s + 1 for d in (0, 1))
    total = 0
    for a in range(k):
        for b in range(k):
            y, x = slice(a, a + s * (height - 1) + 1, s), slice(b, b + s * (width - 1) + 1, s)
            total = total + padded[y, x, y, x]
    return total / k**2


def _pool(layer, t):
    if isinstance(layer, Flatten):
        return torch.einsum("yxyx->", t)[None, None, None, None] / (t.shape[0] * t.shape[1])
    if isinstance(layer, AdaptiveAveragePool):
        pool = lambda z: F.adaptive_avg_pool2d(z, layer.out)  # noqa: E731
    else:
        pool = lambda z: F.avg_pool2d(z, layer.size, layer.stride)  # noqa: E731
    h, w = t.shape[:2]
    once = pool(t.reshape(1, h * w, *t.shape[2:]))[0]
    twice = pool(once.permute(1, 2, 0).reshape(1, -1, h, w))[0]
    rows, columns = once.shape[1:]
    return twice.reshape(rows, columns, *twice.shape[1:]).permute(2, 3, 0, 1)


def finite_kernels(layers, images, width, generator):
    """Empirical NNGP and NTK of one finite network in NTK parametrisation, one output."""
    weights, trained = [], []
    _draw(layers, images.shape[1], images.shape[2:], width, generator, weights, trained, last=True)

    def forward(chosen, image):
        merged = list(weights)
        for number, value in zip(_numbers(trained), chosen, strict=True):
            merged[number] = value
        out, rest = _forward(layers, image[None], merged)
        assert not rest
        return out[0, 0]

    hidden = torch.stack([_hidden(layers, image[None], weights)[0] for image in images])
    nngp = layers[-1].weight_variance * hidden @ hidden.T / hidden.shape[1]
    chosen = tuple(weights[number] for number in _numbers(trained))
    rows = torch.func.vmap(torch.func.grad(forward), (None, 0))(chosen, images)
    flat = torch.cat([row.flatten(1) for row in rows], 1)
    return nngp + layers[-1].bias_variance, flat @ flat.T


def _numbers(trained):
    return [number for number, yes in enumerate(trained) if yes]


def _draw(layers, channels, size, width, generator, weights, trained, last):
    for number, layer in enumerate(layers):
        out = 1 if last and number == len(layers) - 1 else width
        match layer:
            case Convolution():
                shape = (out, channels, layer.kernel_size, layer.kernel_size)
                channels = out
                size = [
                    (n + 2 * layer.padding - layer.kernel_size) // layer.stride + 1 for n in size
                ]
            case Dense():
                shape, channels = (out, channels), out
            case Residual():
                begin, rest = (channels, size), (width, generator, weights, trained, False)
                channels, size = _draw(layer.branch, *begin, *rest)
                _draw(layer.shortcut, *begin, *rest)
                continue
            case Flatten():
                channels, size = channels * size[0] * size[1], [1, 1]
                continue
            case AdaptiveAveragePool():
                size = [layer.out, layer.out]
                continue
            case AveragePool():
                size = [(n - layer.size) // (layer.stride or layer.size) + 1 for n in size]
                continue
            case _:
                continue
        for one in (shape, shape[:1]):
            weights.append(torch.randn(one, generator=generator, dtype=torch.float64))
            trained.append(layer.trained and (len(one) > 1 or layer.bias_variance > 0))
    return channels, size


def _forward(layers, x, weights):
    for layer in layers:
        match layer:
            case Relu():
                x = x.relu()
            case Flatten():
                x = x.flatten(1)
            case AdaptiveAveragePool():
                x = F.adaptive_avg_pool2d(x, layer.out)
            case AveragePool():
                x = F.avg_pool2d(x, layer.size, layer.stride)
            case Residual():
                one, weights = _forward(layer.branch, x, weights)
                two, weights = _forward(layer.shortcut, x, weights)
                x = one + two
            case _:
                (weight, bias), weights = weights[:2], weights[2:]
                weight = weight * math.sqrt(layer.weight_variance / weight[0].numel())
                bias = bias * math.sqrt(layer.bias_variance)
                if isinstance(layer, Dense):
                    x = F.linear(x, weight, bias)
                else:
                    x = F.conv2d(x, weight, bias, layer.stride, layer.padding)
    return x, weights


def _hidden(layers, x, weights):
    return _forward(layers[:-1], x, weights)[0]
