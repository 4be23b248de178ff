"""Every known layer with every option, against the dense float64 Jacobian."""

import gc
import warnings
import weakref

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from hybridonn.tangent import TangentError, explain, ntk


def frozen(layer, name):
    getattr(layer, name).requires_grad_(False)
    return layer


def conv(*args, **kwargs):
    return nn.Conv2d(*args, **kwargs)


def running(norm):
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.5, 2)
    norm.weight.data.normal_()
    return norm


IMAGE, LINE, VOLUME = (4, 9, 8), (4, 12), (4, 5, 6, 4)
LAYERS = {
    "dense": ((7,), lambda: nn.Linear(7, 5)),
    "dense without bias": ((7,), lambda: nn.Linear(7, 5, bias=False)),
    "dense at positions": ((3, 2, 7), lambda: nn.Linear(7, 5)),
    "dense, frozen weight": ((3, 7), lambda: frozen(nn.Linear(7, 5), "weight")),
    "dense, frozen bias": ((3, 7), lambda: frozen(nn.Linear(7, 5), "bias")),
    "conv1": (LINE, lambda: nn.Conv1d(4, 6, 3)),
    "conv1 same, dilated": (LINE, lambda: nn.Conv1d(4, 6, 4, padding="same", dilation=2)),
    "conv1 reflect, groups": (
        LINE,
        lambda: nn.Conv1d(4, 6, 3, padding=2, padding_mode="reflect", groups=2),
    ),
    "conv2": (IMAGE, lambda: conv(4, 6, 3)),
    "conv2 1x1": (IMAGE, lambda: conv(4, 6, 1)),
    "conv2 strided": (IMAGE, lambda: conv(4, 6, (3, 2), stride=(2, 3), padding=(1, 0))),
    "conv2 dilated": (IMAGE, lambda: conv(4, 6, 3, dilation=(2, 1), padding=2)),
    "conv2 groups": (IMAGE, lambda: conv(4, 6, 3, groups=2, bias=False)),
    "conv2 depthwise": (IMAGE, lambda: conv(4, 8, 3, groups=4, padding=1)),
    "conv2 same": (IMAGE, lambda: conv(4, 6, (4, 3), padding="same", dilation=(1, 2))),
    "conv2 valid": (IMAGE, lambda: conv(4, 6, 3, padding="valid", stride=2)),
    "conv2 circular": (IMAGE, lambda: conv(4, 6, 3, padding=(1, 2), padding_mode="circular")),
    "conv2 reflect": (IMAGE, lambda: conv(4, 6, 3, padding=1, padding_mode="reflect")),
    "conv2 replicate same": (
        IMAGE,
        lambda: conv(4, 6, 4, padding="same", padding_mode="replicate"),
    ),
    "conv2, frozen weight": (IMAGE, lambda: frozen(conv(4, 6, 3), "weight")),
    "conv2, frozen bias": (IMAGE, lambda: frozen(conv(4, 6, 3), "bias")),
    "conv3": (VOLUME, lambda: nn.Conv3d(4, 2, (2, 3, 2), padding=1, stride=(1, 2, 1))),
    "conv3 groups, dilated": (VOLUME, lambda: nn.Conv3d(4, 2, 2, groups=2, dilation=(2, 1, 3))),
    "conv3 circular": (VOLUME, lambda: nn.Conv3d(4, 2, 3, padding=1, padding_mode="circular")),
    "transposed1": (LINE, lambda: nn.ConvTranspose1d(4, 3, 3, stride=2, output_padding=1)),
    "transposed2": (IMAGE, lambda: nn.ConvTranspose2d(4, 3, 3)),
    "transposed2 strided": (
        IMAGE,
        lambda: nn.ConvTranspose2d(4, 6, (3, 2), stride=2, padding=(1, 0), groups=2),
    ),
    "transposed2 output padding beyond the stride": (
        IMAGE,
        lambda: nn.ConvTranspose2d(4, 3, 2, stride=1, dilation=3, output_padding=2),
    ),
    "transposed2, frozen weight": (IMAGE, lambda: frozen(nn.ConvTranspose2d(4, 3, 2), "weight")),
    "transposed2 without bias": (IMAGE, lambda: nn.ConvTranspose2d(4, 3, 2, bias=False)),
    "transposed3": (VOLUME, lambda: nn.ConvTranspose3d(4, 2, 2, stride=2, padding=1)),
    "batch norm 1": ((4,), lambda: running(nn.BatchNorm1d(4))),
    "batch norm 1 at positions": (LINE, lambda: running(nn.BatchNorm1d(4))),
    "batch norm 2": (IMAGE, lambda: running(nn.BatchNorm2d(4))),
    "batch norm 2, frozen weight": (IMAGE, lambda: frozen(running(nn.BatchNorm2d(4)), "weight")),
    "batch norm 3": (VOLUME, lambda: running(nn.BatchNorm3d(4))),
    "group norm": (IMAGE, lambda: nn.GroupNorm(2, 4)),
    "instance norm": (IMAGE, lambda: nn.InstanceNorm2d(4, affine=True)),
    "instance norm, running": (
        IMAGE,
        lambda: running(nn.InstanceNorm2d(4, affine=True, track_running_stats=True)),
    ),
    "layer norm": ((3, 7), lambda: nn.LayerNorm(7)),
    "layer norm of two axes": ((3, 2, 7), lambda: nn.LayerNorm((2, 7))),
    "RMS norm": ((3, 7), lambda: nn.RMSNorm(7)),
    "PReLU": (IMAGE, lambda: nn.PReLU(4)),
}


class Between(nn.Module):
    """A layer between two others, so that its inputs and gradients are those of a network."""

    def __init__(self, shape, layer):
        super().__init__()
        self.before = nn.Conv1d(shape[0], shape[0], 1) if len(shape) > 1 else nn.Linear(*shape * 2)
        self.layer = layer
        self.after = nn.LazyLinear(3)

    def forward(self, x):
        before = self.before(x.flatten(2) if x.ndim > 2 else x).reshape(x.shape)
        return self.after(torch.tanh(self.layer(torch.tanh(before))).flatten(1))


def network(shape, make):
    torch.manual_seed(0)
    model = Between(shape, make()).double().eval()
    with torch.no_grad():
        model(torch.randn(2, *shape, dtype=torch.float64))
    return model


def close(actual, expected, tolerance=1e-10):
    return float((actual - expected).norm() / expected.norm()) < tolerance


@pytest.mark.parametrize("name", LAYERS)
def test_layer_agrees_with_the_dense_jacobian(name, dense_kernel):
    shape, make = LAYERS[name]
    model = network(shape, make)
    x1, x2 = (torch.randn(n, *shape, dtype=torch.float64) for n in (4, 3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert close(ntk(model, x1), dense_kernel(model, x1))
        assert close(ntk(model, x1, layers="layer"), only(dense_kernel, model, x1))
        assert close(ntk(model, x1, x2), dense_kernel(model, x1, x2))
        assert close(ntk(model, x1, x2, outputs="full"), dense_kernel(model, x1, x2, "full"))


def only(dense_kernel, model, x):
    others = [p for n, p in model.named_parameters() if not n.startswith("layer.")]
    for parameter in others:
        parameter.requires_grad_(False)
    expected = dense_kernel(model, x)
    for parameter in others:
        parameter.requires_grad_(True)
    return expected


@settings(max_examples=25, deadline=None)
@given(
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    stride=st.integers(1, 3),
    padding=st.integers(0, 3),
    dilation=st.integers(1, 2),
    groups=st.sampled_from([1, 2]),
    transposed=st.booleans(),
    bias=st.booleans(),
    size=st.tuples(st.integers(7, 10), st.integers(7, 10)),
)
def test_any_convolution(kernel, stride, padding, dilation, groups, transposed, bias, size):
    kind = nn.ConvTranspose2d if transposed else nn.Conv2d
    options = {"stride": stride, "dilation": dilation, "groups": groups, "bias": bias}
    model = kind(2, 4, kernel, padding=padding, **options).double()
    x = torch.randn(3, 2, *size, dtype=torch.float64)
    mask = torch.randn(model(x).shape[1:], dtype=torch.float64)
    model = nn.Sequential(model, nn.Tanh(), Weighted(mask))
    jacobian = torch.stack([flat_gradient(model, one) for one in x])
    assert close(ntk(model, x), jacobian @ jacobian.T)


class Weighted(nn.Module):
    def __init__(self, weights):
        super().__init__()
        self.register_buffer("weights", weights)

    def forward(self, x):
        return (x * self.weights).flatten(1).sum(1, keepdim=True)


def flat_gradient(model, x):
    found = torch.autograd.grad(model(x[None]).sum(), list(model.parameters()))
    return torch.cat([gradient.flatten() for gradient in found])


def convnet():
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(2, 5, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(5, 6, 3),
        nn.GroupNorm(3, 6),
        nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(24, 4),
    ).double()


def images(n=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, 2, 10, 10, dtype=torch.float64, generator=generator)


@pytest.mark.parametrize("outputs", ["contracted", "full"])
@pytest.mark.parametrize("memory_gb", [3e-3, 6e-4, 3e-4])
def test_a_small_budget_gives_the_same_numbers(memory_gb, outputs):
    model, x1, x2 = convnet(), images(6), images(5, seed=1)
    assert close(
        ntk(model, x1, memory_gb=memory_gb, outputs=outputs), ntk(model, x1, outputs=outputs)
    )
    assert close(
        ntk(model, x1, x2, memory_gb=memory_gb, outputs=outputs),
        ntk(model, x1, x2, outputs=outputs),
    )


def test_nothing_of_a_forward_pass_outlives_the_kernel():
    model, made = nn.Sequential(convnet(), nn.ReLU()), []
    for module in model.modules():
        module.register_forward_hook(lambda m, args, output: made.append(weakref.ref(output)))
    kernel = ntk(model, images())
    gc.collect()
    assert made
    assert not [one for one in made if one() is not None]
    del kernel


def test_a_budget_too_small_says_what_is_needed():
    with pytest.raises(TangentError, match=r"memory_gb is 1e-05.*give memory_gb=") as caught:
        ntk(convnet(), images(), memory_gb=1e-5)
    enough = float(str(caught.value).split("memory_gb=")[1].split()[0])
    ntk(convnet(), images(), memory_gb=enough)


def test_samples_do_not_depend_on_their_batch():
    model, x = convnet(), images(7)
    whole = ntk(model, x)
    assert close(ntk(model, x[:3], x[3:]), whole[:3, 3:])
    assert close(ntk(model, x.flip(0)), whole.flip(0, 1))


def test_full_outputs_contract_to_the_contracted_kernel():
    model, x = convnet(), images()
    full = ntk(model, x, outputs="full")
    assert close(torch.einsum("ijcc->ij", full), ntk(model, x))


def test_the_parts_of_all_layers_add_up():
    model, x = convnet(), images()
    parts = sum(ntk(model, x, layers=[name]) for name in ("0", "3", "4", "8"))
    assert close(parts, ntk(model, x))
    assert close(ntk(model, x, layers="last"), ntk(model, x, layers=["8"]))
    assert close(ntk(model, x, layers="first"), ntk(model, x, layers="0"))


def test_probes_are_unbiased_with_the_documented_variance():
    model, x = convnet(), images(3)
    generator = torch.Generator().manual_seed(0)
    draws = torch.stack([ntk(model, x, probes=1, generator=generator) for _ in range(200)])
    blocks = ntk(model, x, outputs="full")
    symmetric = (blocks + blocks.transpose(2, 3)) / 2
    off = symmetric - torch.diag_embed(symmetric.diagonal(dim1=2, dim2=3))
    variance = 2 * off.square().sum((2, 3))
    error = (draws.mean(0) - ntk(model, x)) / (variance / 200).sqrt()
    assert float(error.abs().max()) < 5
    assert torch.allclose(draws.var(0), variance, rtol=0.6)


def test_more_probes_reduce_the_error_and_seeds_repeat():
    model, x = convnet(), images()
    exact = ntk(model, x)

    def error(probes):
        seeds = range(20)
        draws = [
            ntk(model, x, probes=probes, generator=torch.Generator().manual_seed(s)) for s in seeds
        ]
        return sum(float((d - exact).square().sum()) for d in draws)

    assert error(16) < error(1) / 4
    same = [ntk(model, x, probes=2, generator=torch.Generator().manual_seed(7)) for _ in range(2)]
    assert torch.equal(*same)


def test_its_derivative_is_that_of_the_dense_contraction():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(2, 3, 3), nn.Tanh(), nn.AvgPool2d(4), nn.Flatten(), nn.Linear(12, 2)
    ).double()
    x, weights = images(3), torch.randn(3, 3, dtype=torch.float64)
    kernel = ntk(model, x, create_graph=True)
    found = torch.autograd.grad(
        (kernel * weights).sum(), list(model.parameters()), materialize_grads=True
    )
    names = [name for name, _ in model.named_parameters()]

    def contraction(*values):
        def outputs(given):
            return torch.func.functional_call(model, given, (x,))

        jacobians = torch.func.jacrev(outputs)(dict(zip(names, values, strict=True)))
        flat = torch.cat([j.flatten(2) for j in jacobians.values()], -1).flatten(1)
        return (flat @ flat.T * weights).sum()

    expected = torch.func.grad(contraction, argnums=tuple(range(len(names))))(
        *(p.detach() for p in model.parameters())
    )
    for a, b in zip(found, expected, strict=True):
        assert close(a, b) if float(b.norm()) > 0 else not a.any()


def test_segmentation_outputs(dense_kernel):
    model = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.Tanh(), nn.Conv2d(4, 2, 1)).double()
    x = images(3)
    assert close(ntk(model, x), dense_kernel(model, x))
    assert close(ntk(model, x, memory_gb=1e-3), dense_kernel(model, x))


class Shared(nn.Module):
    """One layer called twice, at different places."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Conv2d(2, 2, 3, padding=1)
        self.outer = nn.Linear(50, 3)

    def forward(self, x):
        x = torch.tanh(self.inner(x))
        x = torch.tanh(self.inner(nn.functional.avg_pool2d(x, 2)))
        return self.outer(x.flatten(1))


def test_a_layer_called_twice_is_exact_without_a_warning(dense_kernel):
    model, x = Shared().double(), images(4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert close(ntk(model, x), dense_kernel(model, x))


def test_unused_parameters_count_nothing_and_cost_nothing(dense_kernel):
    model = convnet()
    x, expected = images(), ntk(convnet(), images())
    model.register_module("unused", nn.GRU(3, 3).double())
    model.forward = lambda given: nn.Sequential(*list(model)[:-1])(given)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert close(ntk(model, x), expected)


def test_vector_products_agree_with_the_layers():
    model, x = convnet(), images()
    assert close(ntk(model, x, method="vector_products"), ntk(model, x, method="layers"))


def test_explain_names_each_layer_and_its_rule(monkeypatch):
    monkeypatch.setattr("hybridonn.tangent.tails.is_available", lambda like: False)
    lines = explain(convnet(), images()).splitlines()
    assert lines == ["0: convolution", "3: convolution", "4: group norm", "8: dense"]


def test_the_users_generator_and_the_models_mode_are_left_alone():
    model, x = convnet(), images()
    state = torch.random.get_rng_state()
    ntk(model, x)
    assert torch.equal(state, torch.random.get_rng_state())
    assert not any(module._forward_hooks for module in model.modules())
    assert all(p.grad is None for p in model.parameters())
