"""Odd models: each has the kernel of its Jacobian, or says why it has none."""

import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from hybridonn.tangent import (
    TangentError,
    TangentWarning,
    explain,
    ntk,
    record,
    sketch,
    tangent_features,
)

pytestmark = pytest.mark.filterwarnings("ignore::hybridonn.tangent.TangentWarning")


class Model(nn.Module):
    """Named layers, parameters and buffers, and what a function makes of them."""

    def __init__(self, function, **parts):
        super().__init__()
        self.function = function
        for name, part in parts.items():
            if isinstance(part, nn.Module | nn.Parameter):
                setattr(self, name, part)
            else:
                self.register_buffer(name, part)

    def forward(self, x):
        return self.function(self, x)


def samples(*shape):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def two_layers(function, **more):
    torch.manual_seed(0)
    return Model(function, a=nn.Linear(5, 5), b=nn.Linear(5, 3), **more).double()


def one_by_one(model, x):
    """The kernel from a forward pass and backward passes of each sample by itself."""
    parameters = list(model.parameters())
    rows = []
    for sample in x.split(1):
        found = [
            torch.autograd.grad(one, parameters, retain_graph=True, materialize_grads=True)
            for one in model(sample).flatten()
        ]
        rows.append(torch.stack([torch.cat([g.flatten().double() for g in one]) for one in found]))
    jacobian = torch.stack(rows).flatten(1)
    return jacobian @ jacobian.T


def named_twice():
    model = two_layers(lambda m, x: m.b(torch.tanh(m.again(torch.tanh(m.a(x))))))
    model.again = model.a
    return model


def with_scripted_layer():
    model = nn.Sequential(nn.Linear(5, 5), nn.Tanh(), nn.Linear(5, 3)).double()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        model[0] = torch.jit.script(model[0])
    return model


EXACT = {
    "a module with two names": named_twice,
    "weights that are used without their module": lambda: two_layers(
        lambda m, x: F.linear(x.sin(), m.b.weight, m.b.bias) @ m.b.weight
    ),
    "a scripted layer": with_scripted_layer,
    "one number for each sample": lambda: two_layers(lambda m, x: m.b(m.a(x).tanh()).sum(1)),
    "another precision inside": lambda: Model(
        lambda m, x: m.a(x.float()).double(), a=nn.Linear(5, 3)
    ),
    "outputs of another precision": lambda: Model(lambda m, x: m.a(x.float()), a=nn.Linear(5, 3)),
}


@pytest.mark.parametrize("name", EXACT)
def test_the_kernel_is_that_of_the_jacobian(name):
    model, x = EXACT[name](), samples(6, 5)
    expected = one_by_one(model, x)
    tolerance = 1e-10 if expected.dtype == model(x).dtype and "inside" not in name else 1e-5
    with record(model, layers="all") as trace:
        outputs = model(x)
    for found in (ntk(model, x), ntk(model, x, method="vector_products"), trace.kernel(outputs)):
        error = torch.linalg.norm(found.detach().double() - expected)
        assert float(error / torch.linalg.norm(expected)) < tolerance


def test_numbers_of_rows_need_no_embedding():
    table = nn.Parameter(torch.randn(9, 4).double())
    model = Model(lambda m, x: m.a(m.table[x].mean(1)), a=nn.Linear(4, 2).double(), table=table)
    x = torch.randint(9, (6, 5))
    torch.testing.assert_close(ntk(model, x), one_by_one(model, x))


@pytest.mark.parametrize("compute", [ntk, explain, lambda m, x: sketch(m, x, 1), tangent_features])
def test_a_model_is_left_as_it_was(compute):
    """torch's own way with tied parameters would leave its tensors in the second name."""
    model, x = named_twice(), samples(6, 5)
    model.statistics = nn.InstanceNorm1d(5, track_running_stats=True).double()
    plain = model.function
    model.function = lambda m, x: plain(m, m.statistics(x[..., None].expand(-1, -1, 2))[..., 0])
    state = {name: value.clone() for name, value in model.state_dict().items()}
    parameter = model.again.weight
    compute(model, x)
    assert model.again.weight is parameter
    for name, value in model.state_dict().items():
        assert torch.equal(value, state[name]), name


def own_mean(m, x):
    with torch.no_grad():
        m.mean.mul_(0.9).add_(x.mean(0), alpha=0.1)
    return m.b(x - m.mean)


class Softened(nn.Module):
    def forward(self, h):
        return torch.softmax(h, 0)


REFUSED = {
    "samples interact, of two": (lambda: nn.Sequential(nn.Linear(5, 3), Softened()), "interact"),
    "running statistics": (
        lambda: two_layers(own_mean, mean=torch.zeros(5)),
        "each call changes it",
    ),
    "changed samples": (lambda: two_layers(lambda m, x: m.b(x.mul_(2))), r"x\.clone\(\)"),
    "changed results": (
        lambda: two_layers(lambda m, x: m.b(F.relu(m.a(x)).add_(x))),
        "ReluBackward0 saved .* was changed in place",
    ),
    "a root at zero": (
        lambda: two_layers(lambda m, x: (0 * m.b(m.a(x))).sqrt()),
        "derivatives of Model are not finite.*sample",
    ),
    "an old checkpoint": (
        lambda: two_layers(
            lambda m, x: m.b(torch.utils.checkpoint.checkpoint(m.a, x, use_reentrant=True))
        ),
        "use_reentrant=False",
    ),
}


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")
@pytest.mark.parametrize("count", [2, 3, 6])
@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_kernel_is_refused(name, count):
    make, message = REFUSED[name]
    model, x = make().double(), samples(6, 5)[-count:]
    with pytest.raises(TangentError, match=message):
        ntk(model, x)


def test_a_gradient_hook_is_refused_by_every_method():
    model = two_layers(lambda m, x: m.b(m.a(x).exp() * m.a.weight.norm()))
    model.a.weight.register_hook(lambda gradient: 2 * gradient)
    for method in ("auto", "vector_products"):
        with pytest.raises(TangentError, match=r"'a\.weight' has a gradient hook"):
            ntk(model, samples(4, 5), method=method)


@pytest.mark.parametrize("method", ["auto", "vector_products"])
@pytest.mark.parametrize("make", [nn.Embedding, nn.EmbeddingBag])
def test_gradients_that_frequencies_scale_are_refused(make, method):
    """torch's second derivative of such an embedding is wrong, besides."""
    table = make(9, 4, scale_grad_by_freq=True)
    model, x = Model(lambda m, x: m.table(x).flatten(1), table=table), torch.randint(9, (6, 5))
    with pytest.raises(TangentError, match="scale_grad_by_freq"):
        ntk(model, x, method=method)
    with record(model, layers="all") as trace:
        outputs = model(x)
    with pytest.raises(TangentError, match="scale_grad_by_freq"):
        trace.kernel(outputs)


def test_sketches_draw_directions_of_single_numbers_too():
    model = two_layers(lambda m, x: m.gain * m.b(x), gain=nn.Parameter(torch.tensor(2.0)))
    assert sketch(model, samples(4, 5), 2).shape == (4, 6)


def test_single_precision_inside_a_double_one_is_no_interaction():
    """Products of some rows round otherwise than those of all."""
    model = two_layers(lambda m, x: F.linear(x.float(), m.a.weight.float()).double() @ m.b.weight.T)
    wide = Model(model.function, a=nn.Linear(300, 5), b=nn.Linear(5, 3)).double()
    x = samples(40, 300)
    expected = one_by_one(wide, x)
    assert float((ntk(wide, x) - expected).norm() / expected.norm()) < 1e-5


def test_torch_tells_nothing_of_hooks_that_fire():
    model = two_layers(lambda m, x: m.b(m.a(x).tanh()))
    model.a.register_full_backward_hook(lambda module, inputs, outputs: None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", TangentWarning)
        ntk(model, samples(4, 5))
