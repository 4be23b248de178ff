"""The kernel whose samples are places of the outputs, against the dense float64 Jacobian."""

import pytest
import torch
from torch import nn

from hybridonn.tangent import TangentError, record, sampled_ntk

N, SIDE, CLASSES = 3, 6, 3


class PixelNetwork(nn.Module):
    """Features of each pixel, then the head that is tried."""

    def __init__(self, head):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.Tanh())
        self.head = head

    def forward(self, x):
        return self.head(self.body(x))


HEADS = {
    "1 x 1": lambda: nn.Conv2d(4, CLASSES, 1),
    "1 x 1 without bias": lambda: nn.Conv2d(4, CLASSES, 1, bias=False),
    "3 x 3": lambda: nn.Conv2d(4, CLASSES, 3, padding=1),
    "of groups": lambda: nn.Conv2d(4, 4, 3, padding=1, groups=2),
    "a coarser output": lambda: nn.Conv2d(4, CLASSES, 2, 2),
}
OTHERS = {
    "up-convolution": lambda: nn.ConvTranspose2d(4, CLASSES, 2, 2),
    "enlarged": lambda: nn.Sequential(nn.Conv2d(4, CLASSES, 1), nn.Upsample(scale_factor=2)),
    "frozen weight": lambda: _freeze(nn.Conv2d(4, CLASSES, 1)),
}


def _freeze(head):
    head.weight.requires_grad_(False)
    return head


def network(head):
    torch.manual_seed(0)
    return PixelNetwork(head()).double().eval()


def images():
    dice = torch.Generator().manual_seed(1)
    return torch.rand(N, 2, SIDE, SIDE, dtype=torch.float64, generator=dice)


def draw(outputs, count=5):
    dice = torch.Generator().manual_seed(2)
    return torch.randint(0, outputs[0, 0].numel(), (N, count), generator=dice)


def dense(model, x, places, layers):
    """The kernel from the Jacobian of the outputs, picked afterwards."""
    named = dict(model.named_parameters())
    chosen = {
        name: p.detach()
        for name, p in named.items()
        if p.requires_grad and (layers == "all" or name.startswith("head"))
    }

    def outputs(values):
        return torch.func.functional_call(model, values, (x,)).flatten(2)

    found = torch.func.jacrev(outputs)(chosen)
    jacobian = torch.cat([value.flatten(3) for value in found.values()], -1)
    picked = jacobian.gather(2, places[:, None, :, None].expand(-1, *_middle(jacobian, places)))
    rows = picked.transpose(1, 2).flatten(0, 1)
    return torch.einsum("acp,bcp->ab", rows, rows)


def _middle(jacobian, places):
    return jacobian.shape[1], places.shape[1], jacobian.shape[3]


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_the_last_convolution_needs_no_backward_pass(head):
    model, x = network(head), images()
    with record(model, "last") as trace:
        outputs = model(x)
    places = draw(outputs)
    found = trace.kernel_at(outputs, places)
    torch.testing.assert_close(found, dense(model, x, places, "last"))
    torch.testing.assert_close(found, sampled_ntk(model, x, places, layers="last"))


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_products_of_the_features_of_places_are_the_kernel(head):
    model, x = network(head), images()
    with record(model, "last") as trace:
        outputs = model(x)
    places = draw(outputs)
    features = trace.place_features(outputs)
    assert features.shape[:2] == (N, outputs[0, 0].numel())
    picked = features[torch.arange(N)[:, None], places].flatten(0, 1)
    torch.testing.assert_close(picked @ picked.T, dense(model, x, places, "last"))


@pytest.mark.parametrize("head", OTHERS.values(), ids=OTHERS)
@pytest.mark.parametrize("layers", ["last", "all", ("head",)])
def test_any_other_layer_goes_by_backward_passes(head, layers):
    model, x = network(head), images()
    with record(model, layers) as trace:
        outputs = model(x)
    places = draw(outputs)
    assert trace.kernel_at(outputs, places) is None
    assert trace.place_features(outputs) is None
    expected = dense(model, x, places, "all" if layers == "all" else "last")
    torch.testing.assert_close(sampled_ntk(model, x, places, layers=layers), expected)


@pytest.mark.parametrize("head", ["1 x 1", "3 x 3"])
def test_both_ways_have_the_same_derivative(head):
    model, x = network(HEADS[head]), images()
    with record(model, "last") as trace:
        outputs = model(x)
    places = draw(outputs)
    weights = torch.randn(N * 5, N * 5, dtype=torch.float64)
    body = list(model.body.parameters())
    fast = torch.autograd.grad((weights * trace.kernel_at(outputs, places)).sum(), body)
    slow = sampled_ntk(model, x, places, layers="last", create_graph=True)
    slow = torch.autograd.grad((weights * slow).sum(), body)
    for one, other in zip(fast, slow, strict=True):
        torch.testing.assert_close(one, other)


def test_classes_behind_the_places_are_not_taken_for_places():
    """A dense layer at each of as many places as classes has outputs of the same shape."""
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(4, CLASSES)).double(), images()[:, :, :3, 0:2].flatten(1)
    x = x.view(N, CLASSES, 4)
    with record(model, "last") as trace:
        outputs = model(x)
    assert trace.kernel_at(outputs, torch.zeros(N, 1, dtype=torch.int64)) is None


@pytest.mark.parametrize(
    ("places", "said"),
    [
        (torch.zeros(2, 5, dtype=torch.int64), r"\(2, 5\), but there are 3 samples"),
        (torch.zeros(N, 0, dtype=torch.int64), "some places of each"),
        (torch.full((N, 1), 36), "36 to 36, but an output has the places 0 to 35"),
        (torch.full((N, 1), -1), "-1 to -1"),
        (torch.zeros(N, 1), "whole numbers"),
    ],
)
def test_places_that_are_not_in_the_outputs_are_refused(places, said):
    model, x = network(HEADS["1 x 1"]), images()
    with record(model, "last") as trace:
        outputs = model(x)
    with pytest.raises(TangentError, match=said):
        trace.kernel_at(outputs, places)
    with pytest.raises(TangentError, match=said):
        sampled_ntk(model, x, places)


def test_outputs_of_an_image_have_no_places():
    model = nn.Sequential(nn.Flatten(), nn.Linear(72, CLASSES)).double()
    with pytest.raises(TangentError, match="there are no places in them"):
        sampled_ntk(model, images(), torch.zeros(N, 1, dtype=torch.int64))


def test_samples_that_cannot_count_the_places_are_refused():
    model, x = nn.Conv2d(1, 1, 1).bfloat16(), torch.rand(1, 1, 20, 20).bfloat16()
    with pytest.raises(TangentError, match="bfloat16, which does not count the 400 places"):
        sampled_ntk(model, x, torch.tensor([[301]]))
