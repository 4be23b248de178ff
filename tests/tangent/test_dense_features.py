"""A dense last layer's features: exact, refused where something behind it depends on the sample."""

import pytest
import torch
from torch import nn

from hybridonn.tangent import TangentError, dense_features, find_dense_end, ntk


class Scaled(nn.Module):
    def forward(self, logits):
        return logits / 9


class Turned(nn.Module):
    """A fixed linear map without parameters."""

    def forward(self, logits):
        return logits.flip(1).cumsum(1)


class Tied(nn.Module):
    """Its last dense layer's weight is used before, too."""

    def __init__(self):
        super().__init__()
        self.dense = nn.Linear(6, 6)

    def forward(self, x):
        return self.dense(torch.tanh(x @ self.dense.weight))


def network(*tail, bias=True):
    torch.manual_seed(0)
    body = [nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()]
    return nn.Sequential(*body, nn.Dropout(0.3), nn.Linear(27, 5, bias=bias), *tail).eval()


def images(n=20, seed=0):
    return torch.rand(n, 2, 8, 8, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    "tail", [(), (Scaled(),), (Turned(), Scaled()), (nn.Unflatten(1, (5, 1)),)]
)
@pytest.mark.parametrize("bias", [True, False])
def test_the_products_are_the_kernel_of_the_dense_reference(tail, bias, dense_kernel):
    model, x = network(*tail, bias=bias), images()
    end = find_dense_end(model, x)
    outputs, features = dense_features(model, x, end)
    torch.testing.assert_close(outputs, model(x).detach())
    assert end.layer == "6" and features.shape == (20, 27 + bias)
    for parameter in model[:6].parameters():
        parameter.requires_grad_(False)
    expected = dense_kernel(model.double(), x.double())
    torch.testing.assert_close((features @ features.T).double(), expected, rtol=1e-5, atol=1e-5)


def test_features_of_two_batches_fit_together():
    model, x = network(Scaled()), images(9)
    end = find_dense_end(model, images(4, seed=1))
    parts = [dense_features(model, part, end)[1] for part in x.split(5)]
    torch.testing.assert_close(torch.cat(parts) @ parts[0].T, ntk(model, x, x[:5], layers="last"))


def test_a_named_layer_in_the_middle_with_a_linear_tail(dense_kernel):
    model, x = network(nn.Linear(5, 3)), images()
    assert find_dense_end(model, x).layer == "7"
    end = find_dense_end(model, x, ("6",))
    features = dense_features(model, x, end)[1]
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.startswith("6."))
    expected = dense_kernel(model.double(), x.double())
    torch.testing.assert_close((features @ features.T).double(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("model", "layers"),
    [
        (network(nn.ReLU()), "last"),
        (network(nn.Softmax(1)), "last"),
        (network(nn.Tanh()), "last"),
        (network(), "all"),
        (network(), ("0", "6")),
        (network(), "first"),  # a convolution
        (network(nn.BatchNorm1d(5)).eval(), "last"),  # not a product of matrices
    ],
)
def test_it_is_refused_where_the_features_would_be_others(model, layers):
    assert find_dense_end(model, images(), layers) is None


def test_a_weight_that_is_used_elsewhere_is_no_end():
    assert find_dense_end(Tied().eval(), torch.randn(20, 6)) is None


def test_a_batch_on_which_the_tail_bends_is_refused():
    model = network(nn.Threshold(-50, -50))  # the identity above -50
    x = images()
    end = find_dense_end(model, x)
    assert dense_features(model, x, end) is not None
    far = torch.cat([x, -1e4 * x[:1], 1e4 * x[:1]])
    assert dense_features(model, far, end) is None


def test_a_coupling_batch_norm_is_refused():
    with pytest.raises(TangentError, match=r"batch norm '1'.*\.eval\(\)"):
        find_dense_end(network().train(), images())


def test_nothing_of_the_network_is_changed():
    model, x = network(), images()
    model[0].weight.requires_grad_(False)
    before = {name: p.requires_grad for name, p in model.named_parameters()}
    dense_features(model, x, find_dense_end(model, x))
    assert before == {name: p.requires_grad for name, p in model.named_parameters()}
    assert all(p.grad is None for p in model.parameters())


def test_in_mixed_precision_the_features_stay_close():
    model, x = network(Scaled()), images()
    end = find_dense_end(model, x)
    exact = dense_features(model, x, end)[1]
    with torch.autocast("cpu", torch.bfloat16):
        outputs, features = dense_features(model, x, end)
    assert features.dtype == torch.float32 and outputs.dtype == torch.bfloat16
    assert float((features - exact).norm() / exact.norm()) < 0.01
