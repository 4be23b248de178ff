"""Parameters that go by the operations that use them, against the dense float64 Jacobian."""

import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from hybridonn.tangent import TangentWarning, explain, ntk, record

TEXT = "text"


def close(actual, expected, tolerance=1e-10):
    return float((actual - expected).norm() / expected.norm()) < tolerance


class Reused(nn.Module):
    """A dense layer whose weight is also used outside it, the other way round."""

    def __init__(self):
        super().__init__()
        self.dense, self.last = nn.Linear(5, 5), nn.Linear(5, 2)

    def forward(self, x):
        return self.last(torch.tanh(self.dense(x)) + x @ self.dense.weight)


class Tied(nn.Module):
    """Two dense layers with one weight."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.last = nn.Linear(5, 5), nn.Linear(5, 5), nn.Linear(5, 2)
        self.b.weight = self.a.weight

    def forward(self, x):
        return self.last(torch.tanh(self.b(torch.tanh(self.a(x)))))


class Parameters(nn.Module):
    """Parameters of the root, each used by another operation."""

    def __init__(self):
        super().__init__()
        self.token, self.place = nn.Parameter(torch.randn(1, 1, 4)), nn.Parameter(torch.randn(5, 4))
        self.gain, self.divisor = nn.Parameter(torch.randn(4)), nn.Parameter(torch.rand(1) + 1)
        self.away, self.slope = nn.Parameter(torch.randn(4)), nn.Parameter(torch.rand(1))
        self.scale, self.shift = nn.Parameter(torch.rand(4)), nn.Parameter(torch.randn(4))
        self.matrix, self.left = nn.Parameter(torch.randn(4, 3)), nn.Parameter(torch.randn(2, 6))

    def forward(self, x):
        x = torch.cat([self.token.expand(len(x), -1, -1), x], 1) + self.place[: x.shape[1] + 1]
        x = F.prelu(torch.sub(x * self.gain, self.away, alpha=2), self.slope) / 3
        x = F.layer_norm(x, (4,), self.scale, self.shift)
        x = torch.tanh(x * self.gain + 1 - self.shift) @ self.matrix
        columns = self.left @ torch.tanh(x[:, :2].flatten(1).T)
        return columns.T * self.divisor


class Merged(nn.Module):
    """Positions that lead with the samples' axis merged away."""

    def __init__(self, steps_first=False):
        super().__init__()
        self.dense, self.last, self.steps_first = nn.Linear(5, 4), nn.Linear(12, 2), steps_first

    def forward(self, x):
        rows = (x.transpose(0, 1) if self.steps_first else x).reshape(-1, 5)
        found = torch.tanh(self.dense(rows))
        if self.steps_first:
            return self.last(found.reshape(3, len(x), 4).transpose(0, 1).flatten(1))
        return self.last(found.reshape(len(x), -1))


class StepsFirst(nn.Module):
    """As many positions as samples, positions first: shapes alone do not tell."""

    def __init__(self):
        super().__init__()
        self.dense, self.norm, self.last = nn.Linear(5, 4), nn.LayerNorm(4), nn.Linear(12, 2)

    def forward(self, x):
        found = torch.tanh(self.norm(self.dense(x.transpose(0, 1))))
        return self.last(found.transpose(0, 1).flatten(1))


class Attention(nn.Module):
    def __init__(self, cross=False, **options):
        super().__init__()
        self.attention, self.cross = nn.MultiheadAttention(6, 2, **options), cross

    def forward(self, x):
        x = x if self.attention.batch_first else x.transpose(0, 1)
        other = torch.tanh(x) if self.cross else x
        found = self.attention(x, other, other, need_weights=False)[0]
        return found.sum(int(self.attention.batch_first))


class Fused(nn.Module):
    """Attention from one projection, and torch's fused product of its parts."""

    def __init__(self):
        super().__init__()
        self.projection = nn.Parameter(torch.randn(18, 6))

    def forward(self, x):
        q, k, v = F.linear(x, self.projection).view(len(x), -1, 3, 2, 3).permute(2, 0, 3, 1, 4)
        return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2).sum(1)


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.TransformerEncoder(nn.TransformerEncoderLayer(6, 2, 7), 2)

    def forward(self, x):
        return self.layers(x.transpose(0, 1))[0]


class Recurrent(nn.Module):
    def __init__(self, kind, **options):
        super().__init__()
        self.cell = kind(5, 4, **options)
        self.last = nn.LazyLinear(2)

    def forward(self, x):
        x = x if self.cell.batch_first else x.transpose(0, 1)
        found = self.cell(x)[0]
        return self.last(found[:, -1] if self.cell.batch_first else found[0])


class Text(nn.Module):
    def __init__(self, **options):
        super().__init__()
        self.words, self.last = nn.Embedding(9, 4, **options), nn.Linear(4, 2)

    def forward(self, x):
        return self.last(torch.tanh(self.words(x)).mean(1))


class Bags(nn.Module):
    """Bags of words, each a sample's, as a table or one after the other."""

    def __init__(self, starts=False, weighted=False, **options):
        super().__init__()
        self.words, self.last = nn.EmbeddingBag(9, 4, **options), nn.Linear(4, 2)
        self.starts, self.weighted = starts, weighted

    def forward(self, x):
        weights = 1.0 + x.double() if self.weighted else None
        if not self.starts:
            return self.last(torch.tanh(self.words(x, per_sample_weights=weights)))
        n, count = x.shape
        starts = torch.arange(n + 1) * count
        weights = None if weights is None else weights.flatten()
        found = self.words(x.flatten(), starts, per_sample_weights=weights)
        return self.last(torch.tanh(found))


class TiedText(nn.Module):
    """A language model whose last layer is its embedding."""

    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(9, 4)

    def forward(self, x):
        return torch.tanh(self.words(x)).mean(1) @ self.words.weight.T


def batch_first(kind, **options):
    return lambda: Recurrent(kind, batch_first=True, **options)


MODELS = {
    "a weight used twice": (Reused, (5,)),
    "tied": (Tied, (5,)),
    "parameters of the root": (Parameters, (4, 4)),
    "merged": (Merged, (3, 5)),
    "merged, steps first": (lambda: Merged(steps_first=True), (3, 5)),
    "steps first": (StepsFirst, (3, 5)),
    "attention": (lambda: Attention(batch_first=True), (4, 6)),
    "attention, steps first": (Attention, (4, 6)),
    "attention, keys apart": (lambda: Attention(cross=True, batch_first=True), (4, 6)),
    "attention, more keys": (lambda: Attention(batch_first=True, add_bias_kv=True), (4, 6)),
    "fused attention": (Fused, (4, 6)),
    "encoder": (Encoder, (4, 6)),
    "RNN": (batch_first(nn.RNN), (3, 5)),
    "LSTM": (batch_first(nn.LSTM, num_layers=2), (3, 5)),
    "LSTM, steps first, both ways": (lambda: Recurrent(nn.LSTM, bidirectional=True), (4, 5)),
    "LSTM, projected": (batch_first(nn.LSTM, proj_size=3), (3, 5)),
    "GRU": (batch_first(nn.GRU, num_layers=2, bidirectional=True), (3, 5)),
    "GRU without bias": (batch_first(nn.GRU, bias=False), (3, 5)),
    "embedding": (Text, TEXT),
    "embedding, padded": (lambda: Text(padding_idx=1), TEXT),
    "bags": (Bags, TEXT),
    "bags, summed, padded": (lambda: Bags(mode="sum", padding_idx=1), TEXT),
    "bags, means of what is not padded": (lambda: Bags(padding_idx=1), TEXT),
    "bags, weighted": (lambda: Bags(mode="sum", weighted=True), TEXT),
    "bags, by their starts": (
        lambda: Bags(mode="sum", starts=True, weighted=True, include_last_offset=True),
        TEXT,
    ),
    "tied embedding": (TiedText, TEXT),
}


def draw(n, shape, seed):
    generator = torch.Generator().manual_seed(seed)
    if shape == TEXT:
        return torch.randint(0, 9, (n, 4), generator=generator)
    return torch.randn(n, *shape, generator=generator, dtype=torch.float64)


def network(name):
    make, shape = MODELS[name]
    torch.manual_seed(0)
    model = make().double().eval()
    with torch.no_grad():
        model(draw(2, shape, 9))
    return model, draw(3, shape, 0), draw(4, shape, 1)


@pytest.fixture(autouse=True)
def no_slow_way():
    with warnings.catch_warnings():
        warnings.simplefilter("error", TangentWarning)
        yield


@pytest.mark.parametrize("name", MODELS)
def test_kernel_agrees_with_the_dense_jacobian(name, dense_kernel):
    model, x1, x2 = network(name)
    assert close(ntk(model, x1, method="layers"), dense_kernel(model, x1))
    assert close(ntk(model, x2[:1]), dense_kernel(model, x2[:1]))
    assert close(ntk(model, x1, x2), dense_kernel(model, x1, x2))
    assert close(ntk(model, x1, x2, outputs="full"), dense_kernel(model, x1, x2, "full"))
    assert "vector products" not in explain(model, x1)


# torch has no second derivative of bags, which the references of the derivatives need.
TWICE = [name for name in MODELS if not name.startswith("bags")]


@pytest.mark.parametrize("name", TWICE)
def test_derivative_agrees_with_that_of_single_samples(name):
    model, x, _ = network(name)
    weight = torch.randn(len(x), len(x), dtype=torch.float64)
    parameters = list(model.parameters())

    def derivative(kernel):
        return torch.autograd.grad((kernel * weight).sum(), parameters, allow_unused=True)

    with record(model, "all") as trace:
        outputs = model(x)
    found = derivative(trace.kernel(outputs))
    expected = derivative(dense(model, x))
    for a, b in zip(found, expected, strict=True):
        assert (a is None or not a.any()) if b is None else close(a, b, 1e-8) or not b.any()


def test_derivative_of_bags_is_that_of_the_means_of_words():
    class Means(Bags):
        def forward(self, x):
            found = F.embedding(x, self.words.weight).mean(1)
            return self.last(torch.tanh(found))

    model, x, _ = network("bags")
    means = Means().double()
    means.load_state_dict(model.state_dict())
    found, expected = (
        torch.autograd.grad(kernel.square().sum(), list(one.parameters()), allow_unused=True)
        for one in (model, means)
        for kernel in [ntk(one, x, create_graph=True)]
    )
    for a, b in zip(found, expected, strict=True):
        assert a is b is None or close(a, b)


def test_sparse_gradients_go_by_operations_and_by_samples(dense_kernel):
    model, x, _ = network("bags, summed, padded")
    expected = dense_kernel(model, x)
    model.words.sparse = True
    assert close(ntk(model, x), expected)
    assert close(ntk(model, x, method="vector_products"), expected)


def dense(model, x):
    """The kernel from one differentiable backward pass for each sample and output."""
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        outputs = model(x)
    rows = [
        torch.cat(
            [
                g.flatten()
                for g in torch.autograd.grad(
                    one, list(model.parameters()), create_graph=True, materialize_grads=True
                )
            ]
        )
        for one in outputs.flatten()
    ]
    jacobian = torch.stack(rows).view(len(x), -1)
    return jacobian @ jacobian.T


def test_single_precision_recurrent_layers_and_attention_are_unfused():
    for name in ("LSTM", "GRU", "fused attention", "encoder"):
        model, x, _ = network(name)
        expected = ntk(model, x)
        found = ntk(model.float(), x.float(), create_graph=True)
        assert close(found.double(), expected, 1e-4)
        found.sum().backward()


def test_compiled_models_run_as_they_were_written():
    model, x, _ = network("tied")
    expected = ntk(model, x)
    compiled = torch.compile(model, backend="eager")
    assert close(ntk(compiled, x), expected)
    inside = nn.Sequential(torch.compile(model, backend="eager"), nn.Identity())
    assert close(ntk(inside, x), expected)
    with record(compiled, "all") as trace:
        outputs = compiled(x)
    assert close(trace.kernel(outputs), expected)
    assert "vector products" not in explain(compiled, x)
