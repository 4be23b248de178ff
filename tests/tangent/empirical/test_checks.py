"""What has no tangent kernel is refused, with the place and the cure."""

import pytest
import torch
from torch import nn

from hybridonn.tangent import (
    TangentError,
    centred_alignment,
    explain,
    feature_error,
    ntk,
    record,
    sketch,
    tangent_features,
    trace_estimate,
)


def dense(**kwargs):
    return nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2), **kwargs)


class Lambda(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.layer = nn.Linear(4, 3)
        self.function = function

    def forward(self, x):
        return self.function(self.layer(x))


def frozen():
    return dense().requires_grad_(False)


def damaged():
    model = dense()
    nn.init.constant_(model[0].weight, torch.nan)
    return model


X = torch.rand(5, 4)
NAN = torch.where(torch.eye(5, 4) > 0, torch.nan, X)


def inferred():
    with torch.inference_mode():
        return dense()


CASES = {
    "complex outputs": (lambda: Lambda(lambda z: z * 1j), X, r"complex.*abs\(\)\.square\(\)"),
    "lazy": (lambda: nn.Sequential(nn.LazyLinear(3)), X, r"'0\.weight'.*run the model once"),
    "lazy statistics": (
        lambda: nn.Sequential(nn.Linear(4, 3), nn.LazyBatchNorm1d(affine=False)).eval(),
        X,
        r"'1\.running_mean'.*run the model once",
    ),
    "made in inference mode": (inferred, X, r"'0\.weight'.*inference_mode"),
    "sparse": (dense, X.to_sparse(), "x1 is .*sparse.*dense"),
    "meta": (dense, X.to("meta"), "x1 is .*meta"),
    "another width": (dense, torch.rand(5, 9), r"Sequential cannot be run on .*, 9\)"),
    "another precision": (dense, X.double(), "Sequential cannot be run on .*float64"),
    "scripted": (lambda: torch.jit.trace(dense(), X), X, "torch.jit"),
    "no module": (lambda: len, X, r"torch\.nn\.Module"),
    "no parameters": (nn.Tanh, X, "Tanh"),
    "frozen": (frozen, X, "Sequential.*requires_grad"),
    "NaN": (dense, NAN, "x1 holds 4 .*NaN"),
    "infinite": (dense, X / 0, "x1 holds 20 .*infinite"),
    "overflow": (
        lambda: Lambda(lambda z: 1e20 * z * 1e20),
        X,
        "outputs of Lambda .*scale",
    ),
    "weight of NaN": (damaged, X, r"parameter '0\.weight'"),
    "integers": (dense, torch.ones(5, 4, dtype=torch.long), r"x\.float\(\)"),
    "no samples": (dense, X[:0], r"\(0, 4\)"),
    "no tensor": (dense, [1.0], r"list.*torch\.Tensor"),
    "scalar outputs": (lambda: Lambda(torch.sum), X, r"shape \(\)"),
    "two outputs": (lambda: Lambda(lambda z: (z, z)), X, "tuple"),
    "samples lost": (lambda: Lambda(lambda z: z.T), X, r"\(3, 2\) for 2 samples"),
    "detached": (lambda: Lambda(lambda z: z.detach()), X, r"\.detach\(\)"),
    "interacting": (
        lambda: Lambda(lambda z: nn.functional.softmax(z, 0)),
        X,
        r"Lambda .*\.eval\(\)",
    ),
}


@pytest.mark.filterwarnings("ignore::hybridonn.tangent.TangentWarning")
@pytest.mark.parametrize("name", CASES)
def test_refused_with_the_cure(name):
    make, x, message = CASES[name]
    with pytest.raises(TangentError, match=message):
        ntk(make(), x)


@pytest.mark.parametrize("name", ["overflow", "weight of NaN"])
@pytest.mark.parametrize(
    "call",
    [
        lambda m, x: tangent_features(m, x, 2),
        lambda m, x: sketch(m, x, 2),
        lambda m, x: sketch(m, x, 2, method="difference"),
        trace_estimate,
    ],
)
def test_estimates_refuse_outputs_that_are_not_finite(call, name):
    make, x, message = CASES[name]
    with pytest.raises(TangentError, match=message):
        call(make(), x)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"outputs": "all"}, "'contracted' or 'full'"),
        ({"method": "fast"}, "auto, layers, vector_products"),
        ({"probes": 0}, "probes is 0"),
        ({"probes": 2, "outputs": "full"}, "probes=None"),
        ({"memory_gb": 0}, "memory_gb is 0"),
        ({"layers": ["fc"]}, "'fc'.*0, 2;.*'all', 'first' and 'last'"),
        ({"x2": torch.rand(3, 5)}, r"\(4,\) and x2 of \(5,\)"),
        ({"x2": torch.rand(3, 4).double()}, "float64"),
    ],
)
def test_options_that_do_not_exist(options, message):
    with pytest.raises(TangentError, match=message):
        ntk(dense(), X, **options)


@pytest.mark.parametrize("call", [ntk, tangent_features, lambda m, x: sketch(m, x, 2)])
def test_batch_norm_in_training_mode_names_it_and_eval(call):
    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 2))
    with pytest.raises(TangentError, match=r"batch norm '1'.*\.eval\(\)"):
        call(model, X)
    assert call(model.eval(), X).isfinite().all()


@pytest.mark.parametrize("call", [ntk, tangent_features, lambda m, x: sketch(m, x, 2)])
def test_dropout_in_training_mode_names_it_and_eval(call):
    model = nn.Sequential(nn.Linear(4, 3), nn.Dropout(), nn.Linear(3, 2))
    with pytest.raises(TangentError, match=r"dropout '1'.*\.eval\(\)"):
        call(model, X)
    assert call(model.eval(), X).isfinite().all()


def test_batch_norm_of_batch_statistics_is_refused_in_inference_too():
    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3, track_running_stats=False)).eval()
    with pytest.raises(TangentError, match="batch norm '1'"):
        ntk(model, X)


def test_a_recorded_training_step_refuses_it_only_where_it_matters():
    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 2))
    with record(model, "last") as trace:
        outputs = model(X)
    assert trace.kernel(outputs).shape == (5, 5)  # of the last layer: nothing after it couples
    with record(model, "all") as trace:
        outputs = model(X)
    with pytest.raises(TangentError, match="batch norm '1'"):
        trace.kernel(outputs)


def test_recording_without_gradients_names_the_layer():
    model = dense()
    with torch.no_grad(), record(model), pytest.raises(TangentError, match=r"layer '0'.*no_grad"):
        model(X)


def test_a_kernel_under_no_grad_is_still_right():
    model = dense()
    with torch.no_grad():
        kernel = ntk(model, X)
    assert torch.allclose(kernel, ntk(model, X))
    assert not kernel.requires_grad


class OwnBackward(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return 2 * x

    @staticmethod
    def backward(ctx, gradient):
        raise KeyError("no backward pass")


class Faulty(nn.Module):
    """A layer whose own backward pass raises an error."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, x):
        return self.last(OwnBackward.apply(self.first(x)))


class Nothing(nn.Linear):
    def forward(self, x):
        return super().forward(x)[:, :0]


def recorded(model):
    with record(model, "all") as trace:
        outputs = model(X)
    return trace.kernel(outputs)


ESTIMATES = {
    "kernel": lambda model: ntk(model, X),
    "full kernel": lambda model: ntk(model, X, outputs="full"),
    "vector products": lambda model: ntk(model, X, method="vector_products"),
    "differentiable": lambda model: ntk(model, X, create_graph=True),
    "explanation": lambda model: explain(model, X),
    "recorded": recorded,
    "sketch": lambda model: sketch(model, X, 2),
    "features": lambda model: tangent_features(model, X, 2),
    "their error": lambda model: feature_error(model, X, 2),
}


@pytest.mark.parametrize("name", ESTIMATES)
def test_an_error_of_a_backward_pass_becomes_a_sentence(name):
    with pytest.raises(TangentError, match="KeyError: 'no backward pass'"):
        ESTIMATES[name](Faulty())


@pytest.mark.parametrize("name", [n for n in ESTIMATES if n not in ("explanation", "sketch")])
def test_a_model_without_outputs_is_refused(name):
    with pytest.raises(TangentError, match="no outputs"):
        ESTIMATES[name](Nothing(4, 3))


@pytest.mark.parametrize(
    "call",
    [
        lambda: ntk(dense(), X, layers=3),
        lambda: ntk(dense(), X, layers=[0]),
        lambda: ntk(dense(), X, layers=[]),
        lambda: ntk(dense(), X, probes="2"),
        lambda: ntk(dense(), X, probes=1.5),
        lambda: ntk(dense(), X, probes=True),
        lambda: ntk(dense(), X, probes=2, generator=3),
        lambda: ntk(dense(), X, memory_gb="2"),
        lambda: sketch(dense(), X, "3"),
        lambda: sketch(dense(), X, 1.5),
        lambda: sketch(dense(), X, 1, generator=3),
        lambda: tangent_features(dense(), X, "3"),
        lambda: tangent_features(dense(), X, 1.5),
        lambda: tangent_features(dense(), X, 3, seed="a"),
        lambda: tangent_features(dense(), X, 3, memory_gb="a"),
        lambda: centred_alignment(X.numpy() @ X.numpy().T, X @ X.T),
        lambda: record(3).__enter__(),
    ],
)
def test_options_of_another_type_become_a_sentence(call):
    with pytest.raises(TangentError):
        call()


@pytest.mark.parametrize(
    "call",
    [
        lambda: sketch(dense(), X, 0),
        lambda: sketch(frozen(), X, 1),
        lambda: sketch(dense(), X, 1, method="exact"),
        lambda: trace_estimate(dense(), X, epsilon=0),
        lambda: tangent_features(dense(), X, 0),
        lambda: tangent_features(dense(), X, 8, oversampling=0),
    ],
)
def test_sketches_refuse_options_that_do_not_exist(call):
    with pytest.raises(TangentError):
        call()


def test_a_hook_that_changes_gradients_but_not_outputs_is_refused():
    model, x = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)), torch.randn(3, 3)
    seen = model[2].weight.register_hook(lambda gradient: None)
    kernel = ntk(model, x)
    seen.remove()
    assert torch.allclose(kernel, ntk(model, x))
    model[0].weight.register_hook(lambda gradient: 2 * gradient)
    with pytest.raises(TangentError, match=r"'0.weight' has a gradient hook"):
        ntk(model, x)
    with record(model, "all") as trace:
        outputs = model(x)
    with pytest.raises(TangentError, match=r"'0.weight' has a gradient hook"):
        trace.kernel(outputs)


def test_layers_inside_a_transformation_of_torch_func_are_followed(dense_kernel):
    class Mapped(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 2).double()

        def forward(self, x):
            return torch.func.vmap(self.layer)(x)

    model, x = Mapped(), torch.randn(4, 3, dtype=torch.float64)
    torch.testing.assert_close(ntk(model, x), dense_kernel(model, x))


def test_outputs_without_numbers_are_refused():
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)).to("meta")
    with record(model, "all") as trace:
        outputs = model(torch.randn(3, 3, device="meta"))
    with pytest.raises(TangentError, match="device meta"):
        trace.kernel(outputs)
