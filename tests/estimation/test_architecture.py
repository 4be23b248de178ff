import pytest
import torch

from hybridonn import spec
from hybridonn.core.errors import SpecError
from hybridonn.estimation import architecture_of, infinite_random_kernels
from hybridonn.networks.student import build_student
from hybridonn.tangent.infinite import (
    AdaptiveAveragePool,
    Convolution,
    Dense,
    Flatten,
    Relu,
    Shape,
    infinite_kernels,
    shapes_of,
)


@pytest.mark.parametrize("hidden", [(), (160,), (100, 50)])
def test_it_has_the_layers_of_the_built_student(hidden):
    design = spec.Student(kernels=5, kernel_size=5, pooled_size=4, hidden=hidden)
    layers = architecture_of(design)
    built = build_student(design, (1, 11, 9), 10, 0)
    modules = [type(m) for m in built.modules() if not list(m.children())]
    pairs = {
        torch.nn.Conv2d: Convolution,
        torch.nn.ReLU: Relu,
        torch.nn.AdaptiveAvgPool2d: AdaptiveAveragePool,
        torch.nn.Flatten: Flatten,
        torch.nn.Linear: Dense,
    }
    assert [type(layer) for layer in layers] == [pairs[m] for m in modules if m in pairs]
    shapes = shapes_of(layers, Shape(11, 9))
    (features,) = built.frontend(torch.zeros(1, 1, 11, 9))
    assert (shapes[1].height, shapes[1].width) == features.shape[2:]
    assert (shapes[3].height, shapes[3].width) == (4, 4)


def test_kernels_can_stay_random():
    layers = architecture_of(spec.Student(), kernels_trained=False)
    assert layers[0] == Convolution(7, padding=3, trained=False)
    assert all(layer.trained for layer in layers if isinstance(layer, Dense))


def test_max_pooling_is_refused_or_replaced():
    design = spec.Student(pooling="max")
    with pytest.raises(SpecError, match=r'"max".*max_pooling="average"'):
        architecture_of(design)
    assert architecture_of(design, max_pooling="average") == architecture_of(spec.Student())


@pytest.mark.parametrize("backend", ["upsampling", "mine:Net"])
def test_a_backend_without_a_wide_network_is_refused(backend):
    with pytest.raises(SpecError, match=f"'{backend}', whose infinitely wide network is not known"):
        architecture_of(spec.Student(backend=backend, kernels=2, hidden=()))


def test_infinite_random_kernels_train_the_head_alone():
    x = torch.rand(4, 1, 8, 8)
    for pooled in (None, 3):
        layers = infinite_random_kernels(3, pooled)
        nngp = infinite_kernels(layers, x, kernel="nngp")
        assert torch.equal(infinite_kernels(layers, x), nngp)
    assert AdaptiveAveragePool(3) in infinite_random_kernels(3, 3)
