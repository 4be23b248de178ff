"""What this package reads of torch's internals is there, in the version of torch that is installed.

Where one of these tests fails, the named version of torch has dropped or renamed what it names:
`hybridonn.tangent.empirical.torch_internals` and the tables of operation names need an entry.
"""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from hybridonn.tangent import TangentError
from hybridonn.tangent.empirical import torch_internals as internals
from hybridonn.tangent.empirical.operations import vector_jacobian_product
from hybridonn.tangent.empirical.pooling import read_pooling

BROKEN = f"torch {torch.__version__} differs from what hybridonn.tangent knows: "


def leaf(*shape):
    return torch.rand(shape, dtype=torch.float64, requires_grad=True)


X, W, IMAGE = leaf(2, 3), leaf(4, 3), leaf(2, 3, 6, 6)

# An operation, its name in autograd's graph without the overload, and what it saves.
OPERATIONS = {
    "dense": (lambda: F.linear(X, W, leaf(4)), "Addmm", {"alpha": 1, "mat2": W.T}),
    "dense without bias": (lambda: F.linear(X, W), "Mm", {"mat2": W.T}),
    "relu": (lambda: torch.relu(X), "Relu", {"result": torch.relu(X)}),
    "addition": (lambda: torch.add(X, X, alpha=3), "Add", {"alpha": 3}),
    "mean": (
        lambda: IMAGE.mean((2, 3), keepdim=True),
        "Mean",
        {"dim": (2, 3), "keepdim": True},
    ),
    "batch norm": (
        lambda: F.batch_norm(IMAGE, torch.zeros(3).double(), 2 * torch.ones(3).double(), eps=0.5),
        "NativeBatchNorm",
        {"training": False, "running_var": 2 * torch.ones(3).double(), "eps": 0.5, "weight": None},
    ),
    "convolution": (
        lambda: F.conv2d(IMAGE, leaf(4, 3, 2, 2), None, (1, 2), (1, 0), (2, 1)),
        "Convolution",
        {
            **{"stride": (1, 2), "padding": (1, 0), "dilation": (2, 1)},
            **{"groups": 1, "transposed": False},
        },
    ),
    "maximum pooling": (
        lambda: F.max_pool2d(IMAGE, 2, 1, 1),
        "MaxPool2DWithIndices",
        {
            **{"kernel_size": (2, 2), "stride": (1, 1), "padding": (1, 1), "dilation": (1, 1)},
            "result1": F.max_pool2d(IMAGE, 2, 1, 1, return_indices=True)[1],
        },
    ),
    "adaptive maximum pooling": (
        lambda: F.adaptive_max_pool2d(IMAGE, 4),
        "AdaptiveMaxPool2D",
        {"result1": F.adaptive_max_pool2d(IMAGE, 4, return_indices=True)[1]},
    ),
    "average pooling": (
        lambda: F.avg_pool2d(IMAGE, (3, 2), 2, 1, True, False),
        "AvgPool2D",
        {
            **{"kernel_size": (3, 2), "stride": (2, 2), "padding": (1, 1), "ceil_mode": True},
            **{"count_include_pad": False, "divisor_override": None, "self": IMAGE},
        },
    ),
    "adaptive average pooling": (
        lambda: F.adaptive_avg_pool2d(IMAGE, 4),
        "AdaptiveAvgPool2D",
        {"self": IMAGE},
    ),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_have_their_names_and_save_what_is_read(name):
    make, kind, expected = OPERATIONS[name]
    result = make()
    node = result.grad_fn
    assert node.name().startswith(f"{kind}Backward"), f"{BROKEN}{name} is {node.name()}"
    assert vector_jacobian_product(node), f"{BROKEN}{node.name()} is not in the table of operations"
    assert internals.result_shape(node) == result.shape
    assert internals.result_types(node)[0] == result.dtype
    for key, value in expected.items():
        found = internals.saved(node, key)
        same = torch.equal(found, value) if isinstance(value, torch.Tensor) else _same(found, value)
        assert same, f"{BROKEN}{node.name()} saves {found!r} as {key} where it was given {value!r}"
    if "pooling" in name:
        assert read_pooling(node), f"{BROKEN}{node.name()} is not in the table of poolings"


def _same(found, value):
    return tuple(found) == value if isinstance(value, tuple) else found == value


def test_negative_axes_are_restored():
    found = internals.saved(IMAGE.mean((-1, 2)).grad_fn, "dim")
    assert internals.signed(list(found)) == [-1, 2], f"{BROKEN}the mean saves its axes as {found}"


RESHAPES = {
    "view": lambda: X.view(3, 2),
    "unsafe view": lambda: torch.ops.aten._unsafe_view(X, (3, 2)),
    "reshape": lambda: X.T.reshape(2, 3),
    "flatten": lambda: IMAGE.flatten(1),
    "squeeze": lambda: leaf(2, 1).squeeze(1),
    "unsqueeze": lambda: X.unsqueeze(1),
    "alias": lambda: torch.ops.aten.alias(X),
    "clone": lambda: X.clone(),
}


@pytest.mark.parametrize("name", RESHAPES)
def test_reshapes_are_known_by_name(name):
    node = RESHAPES[name]().grad_fn
    assert node.name().startswith(internals.RESHAPES), f"{BROKEN}{name} is {node.name()}"


@pytest.mark.parametrize("padding", ["valid", "same", 0, [0], (0, 0)])
def test_sizes_are_a_number_for_each_axis(padding):
    node = F.conv2d(IMAGE, leaf(4, 3, 1, 1), padding=padding).grad_fn
    assert internals.saved_sizes(node, "padding", 2) == (0, 0)
    assert internals.saved_sizes(F.max_pool2d(IMAGE, [2]).grad_fn, "stride", 2) == ()


def test_leaves_of_the_graph_know_their_parameter():
    node = torch.relu(X).grad_fn
    ((leaf_node, _),) = node.next_functions
    assert internals.parameter_of(leaf_node) is X, f"{BROKEN}a leaf is {leaf_node.name()}"
    assert internals.parameter_of(node) is None


def test_an_operation_knows_how_many_results_it_has():
    for node, count in ((X.unbind(1)[0].grad_fn, X.shape[1]), (torch.relu(X).grad_fn, 1)):
        assert internals.count_results(node) == count, f"{BROKEN}{node.name()} has others"


def test_an_operation_is_its_own_derivative():
    found = internals.pass_back(X.exp().grad_fn, torch.ones_like(X))
    assert torch.equal(found, X.exp()), f"{BROKEN}an operation gives {found}"


def test_a_parameter_tells_its_gradient_hooks():
    parameter = leaf(2)
    assert not internals.gradient_hooks(parameter), BROKEN + "Tensor._backward_hooks"
    parameter.register_hook(lambda gradient: gradient)
    assert internals.gradient_hooks(parameter), BROKEN + "Tensor._backward_hooks"


def test_tensors_inside_transformations_are_told_apart():
    seen = []
    torch.func.vmap(lambda x: seen.append(internals.is_transformed(x)) or x)(torch.ones(2))
    assert seen == [True] and not internals.is_transformed(X), (
        BROKEN + "is_functorch_wrapped_tensor"
    )


def test_later_operations_have_larger_numbers():
    first = torch.relu(X)
    numbers = [internals.sequence_number(y.grad_fn) for y in (first, first * 2, first + X)]
    assert numbers == sorted(set(numbers)), f"{BROKEN}operations are numbered {numbers}"


def test_what_is_not_saved_is_refused_with_the_version():
    with pytest.raises(TangentError, match="weight") as caught:
        internals.saved(torch.relu(X).grad_fn, "weight")
    assert torch.__version__ in str(caught.value)


def test_changes_in_place_are_counted():
    x = torch.zeros(3)
    before = internals.count_changes(x)
    x.add_(1)
    assert internals.count_changes(x) == before + 1, BROKEN + "Tensor._version"


def test_a_module_tells_its_tensors_and_hooks():
    norm = nn.BatchNorm1d(3, affine=False)
    assert internals.own_parameters(norm) == {"weight": None, "bias": None}
    assert set(internals.own_buffers(norm)) == {
        "running_mean",
        "running_var",
        "num_batches_tracked",
    }
    assert not any(internals.hooks_of(norm))
    for register in (
        norm.register_forward_hook,
        norm.register_forward_pre_hook,
        norm.register_full_backward_hook,
        norm.register_full_backward_pre_hook,
    ):
        handle = register(lambda *args: None)
        assert sum(map(len, internals.hooks_of(norm))) == 1, f"{BROKEN}{register.__name__}"
        handle.remove()


@pytest.mark.parametrize(
    ("base", "kinds"),
    [
        (internals.BatchNorm, (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)),
        (internals.Convolution, (nn.Conv1d, nn.Conv2d, nn.Conv3d)),
        (
            internals.TransposedConvolution,
            (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d),
        ),
        (
            internals.Dropout,
            (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout),
        ),
        (internals.InstanceNorm, (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)),
    ],
)
def test_layers_have_their_common_bases(base, kinds):
    strange = [kind.__name__ for kind in kinds if not issubclass(kind, base)]
    assert not strange, f"{BROKEN}{base.__name__} is no base of {strange}"
