"""The kernel of whole networks: blocks, portions, layers, derivatives; and what is left alone."""

import gc
import warnings
import weakref

import pytest
import torch
from torch import nn

from hybridonn.tangent import TangentWarning, ntk, record
from hybridonn.tangent.empirical.plan import measure_footprint, plan_memory
from hybridonn.tangent.empirical.torch_internals import hooks_of


def close(actual, expected, tolerance=1e-10):
    return float((actual - expected).norm() / expected.norm()) < tolerance


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


def test_the_users_generator_and_the_models_mode_are_left_alone():
    model, x = convnet(), images()
    state = torch.random.get_rng_state()
    ntk(model, x)
    assert torch.equal(state, torch.random.get_rng_state())
    assert not any(hooks for module in model.modules() for hooks in hooks_of(module))
    assert all(p.grad is None for p in model.parameters())


class Saturating(nn.Linear):
    """A sensor that clips what it is given."""

    def forward(self, x):
        return super().forward(x.clamp(-1, 1))


class Routed(nn.Module):
    """A network that sends bright samples through a layer of their own."""

    def __init__(self):
        super().__init__()
        self.first, self.bright, self.last = nn.Linear(7, 6), nn.Linear(6, 6), nn.Linear(6, 3)

    def forward(self, x):
        h = torch.tanh(self.first(x))
        bright = x.abs().amax(1) > 1
        if bright.any():
            h = torch.where(bright[:, None], self.bright(h), h)
        return self.last(h)


@pytest.mark.parametrize("memory_gb", [2.0, 3e-5])
@pytest.mark.parametrize("other", [False, True])
@pytest.mark.parametrize(
    "make", [lambda: nn.Sequential(Saturating(7, 6), nn.ReLU(), nn.Linear(6, 3)), Routed]
)
def test_what_holds_for_the_first_samples_only_is_found_out(make, other, memory_gb, dense_kernel):
    torch.manual_seed(0)
    model = make().double()
    x = torch.cat([torch.rand(8, 7), 3 * torch.randn(6, 7)]).double()
    for samples in (x, x.flip(0), x[:8], x[8:]):
        x2 = x.flip(0) if other else None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", TangentWarning)
            found = ntk(model, samples, x2, memory_gb=memory_gb)
        torch.testing.assert_close(found, dense_kernel(model, samples, x2), rtol=1e-9, atol=1e-9)


class Mask(nn.Module):
    """A coherent mask: what a camera sees behind complex weights."""

    def __init__(self, make=lambda: nn.Parameter(torch.randn(5, 7, dtype=torch.complex128))):
        super().__init__()
        self.weight = make()

    def forward(self, x):
        return (x.to(self.weight.dtype) @ self.weight.T).abs().square()


class Parts(nn.Module):
    """The same with the real and the imaginary part as parameters."""

    def __init__(self, weight):
        super().__init__()
        self.real, self.imaginary = (nn.Parameter(p.clone()) for p in (weight.real, weight.imag))

    def forward(self, x):
        return (x @ self.real.T).square() + (x @ self.imaginary.T).square()


def test_a_complex_parameter_is_two_real_ones(dense_kernel):
    torch.manual_seed(0)
    model, x = Mask(), torch.randn(6, 7).double()
    expected = dense_kernel(Parts(model.weight.detach()), x, outputs="full")
    with pytest.warns(TangentWarning, match="weight"):
        found = ntk(model, x, outputs="full")
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


HALF = {
    "dense": (lambda: [nn.Linear(7, 6), nn.ReLU(), nn.Linear(6, 4)], (7,)),
    "convolution, average": (
        lambda: [nn.Conv2d(2, 6, 3), nn.Tanh(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(24, 4)],
        (2, 6, 7),
    ),
    "convolution alone, then average": (
        lambda: [nn.Conv2d(2, 6, 3), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(24, 4)],
        (2, 6, 7),
    ),
    "gains": (lambda: [nn.Conv2d(2, 4, 3), nn.PReLU(4), nn.Flatten(), nn.Linear(80, 4)], (2, 6, 7)),
    "norm, average": (
        lambda: [nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.AvgPool2d(2), nn.Flatten()],
        (2, 6, 7),
    ),
}


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", HALF)
def test_half_precision_is_summed_in_single_precision_by_the_rules(name, dtype):
    torch.manual_seed(0)
    layers, shape = HALF[name]
    exact, half = (nn.Sequential(*layers()).to(dtype).eval() for _ in range(2))
    half.load_state_dict(exact.state_dict())
    x = torch.randn(12, *shape).to(dtype)
    found, expected = ntk(half, x, method="layers"), ntk(exact.double(), x.double())
    assert found.dtype == torch.float32
    error = (found.double() - expected).norm() / expected.norm()
    assert error < 4 * torch.finfo(dtype).eps
    assert torch.linalg.eigvalsh(found.double())[0] > -1e-5 * expected.norm()


def test_a_slow_layer_is_said_once_a_model():
    model = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(7, 6)), nn.Linear(6, 3))
    x = 3 * torch.randn(4, 7)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for _ in range(3):
            ntk(model, x)
    assert len(told) == 1


class Bent(nn.Linear):
    """A layer that does more than its class, but only for its last output."""

    def forward(self, x):
        last = (x.clamp(-0.3, 0.3) @ self.weight[-1:].T + self.bias[-1:]).sin()
        return torch.cat([super().forward(x)[:, :-1], last], 1)


def in_portions(model, x, outputs):
    """A budget with which all samples go at once and their outputs in portions."""
    need = measure_footprint(model, x)
    count = need.outputs.numel()
    result = 8 * len(x) ** 2 * (count**2 if outputs == "full" else 1)
    for memory in (10.0 ** (-power / 8) for power in range(8, 64)):
        plan = plan_memory(need, len(x), None, count, memory, result)
        if plan.samples == len(x) and plan.outputs < count:
            return memory
    raise AssertionError("no budget splits the outputs")


@pytest.mark.parametrize("outputs", ["contracted", "full"])
def test_all_outputs_are_compared_where_they_go_in_portions(outputs, dense_kernel):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(7, 50), nn.Tanh(), Bent(50, 40)).double()
    x = torch.randn(9, 7).double()
    memory = in_portions(model, x, outputs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TangentWarning)
        found = ntk(model, x, outputs=outputs, memory_gb=memory)
    expected = dense_kernel(model, x, outputs=outputs)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


class Idle(nn.Linear):
    """A layer that does not use its weight."""

    def forward(self, x):
        return 2 * x


def test_a_layer_that_does_not_use_its_weight_adds_nothing():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 6), Idle(6, 6), nn.Tanh(), nn.Linear(6, 3)).double()
    x = torch.randn(9, 6).double()
    found = ntk(model, x)
    with record(model, "all") as trace:
        outputs = model(x)
    torch.testing.assert_close(trace.kernel(outputs), found)
    model[1].requires_grad_(False)
    torch.testing.assert_close(found, ntk(model, x), rtol=1e-10, atol=1e-10)
