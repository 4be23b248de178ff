"""What holds of every backend that the table lists."""

from copy import deepcopy

import pytest
import torch

from hybridonn import spec
from hybridonn.networks.backends.build import build_backend, find_built_in
from hybridonn.networks.backends.table import BACKENDS
from hybridonn.networks.student import build_student, shape_branches
from hybridonn.tangent.infinite import Convolution, Shape, split_block
from hybridonn.tasks.table import TASKS

SHAPE, CLASSES = (1, 8, 8), 3
OUTPUTS = {"image": (CLASSES,), "pixel": (CLASSES, 8, 8), "cell": (CLASSES + 4, 2, 2)}


def student_of(name, **more):
    """A tiny student with the fewest branches that a backend joins."""
    fewest = BACKENDS[name].branches[0]
    branches = [{"kernels": 2 + index, "binning": 2**index} for index in range(fewest)]
    tiny = {"kernels": 2} if not fewest else {"branches": branches, "kernel_size": 3}
    hidden = (3,) * fewest if fewest else ()
    tiny |= {"kernel_size": 3, "pooled_size": 2, "hidden": hidden, "backend": name}
    return spec.Student(**(tiny | more))


def build(name, **more):
    torch.manual_seed(0)
    student = student_of(name, **more)
    return build_backend(student, shape_branches(student, SHAPE), OUTPUTS[BACKENDS[name].answers])


def branches_of(name, images=3):
    torch.manual_seed(1)
    shapes = shape_branches(student_of(name), SHAPE)
    return tuple(torch.randn(images, *shape) for shape in shapes)


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("normalisation", ["none", "batch"])
@pytest.mark.parametrize("rectification", ["one_sided", "two_sided"])
def test_a_tuple_of_branches_gives_what_the_task_asks_for(name, normalisation, rectification):
    backend = build(name, normalisation=normalisation, rectification=rectification)
    assert backend(branches_of(name)).shape == (3, *OUTPUTS[BACKENDS[name].answers])


@pytest.mark.parametrize("name", BACKENDS)
def test_another_number_of_branches_is_refused(name):
    with pytest.raises(ValueError, match=r"unpack|zip"):
        build(name)((*branches_of(name), torch.randn(3, 2, 2, 2)))


@pytest.mark.parametrize("name", BACKENDS)
def test_every_weight_and_every_branch_gets_a_gradient(name):
    backend, branches = build(name), branches_of(name)
    branches = tuple(one.requires_grad_() for one in branches)
    backend(branches).square().sum().backward()
    for one in (*backend.parameters(), *branches):
        assert one.grad is not None
        assert one.grad.isfinite().all()
        assert one.grad.any()


@pytest.mark.parametrize("name", BACKENDS)
def test_what_is_saved_is_all_that_is_loaded(name):
    backend, other = build(name, normalisation="batch"), build(name, normalisation="batch")
    for weight in backend.parameters():
        torch.nn.init.normal_(weight)
    backend(branches_of(name))  # running statistics of its own
    other.load_state_dict(deepcopy(backend.state_dict()))
    seen = branches_of(name)
    assert torch.equal(other.eval()(seen), backend.eval()(seen))


@pytest.mark.parametrize("name", BACKENDS)
def test_double_precision_and_no_device_serve_as_well(name):
    assert build(name).double()([one.double() for one in branches_of(name)]).dtype == torch.float64
    found = build(name).to("meta")(tuple(one.to("meta") for one in branches_of(name)))
    assert found.shape == (3, *OUTPUTS[BACKENDS[name].answers])


@pytest.mark.parametrize("name", BACKENDS)
def test_the_network_of_the_spec_is_of_the_tables_class_and_task(name):
    student = student_of(name)
    network = build_student(student, SHAPE, CLASSES, seed=0)
    assert type(network.backend) is find_built_in(name)
    assert student.answers == BACKENDS[name].answers
    assert student.answers in {task.answers for task in TASKS.values()}
    assert network(torch.rand(2, *SHAPE)).shape == (2, *OUTPUTS[student.answers])


@pytest.mark.parametrize("name", BACKENDS)
def test_what_it_tells_an_estimate_fits_its_branches_and_its_answers(name):
    student = student_of(name)
    layers, seen = (
        find_built_in(name).wide_layers(student),
        find_built_in(name).neighbourhood(student),
    )
    assert (layers is None) or BACKENDS[name].answers == "image"
    if layers is not None:
        split_block((Convolution(3, padding=1), *layers), SHAPE[0], Shape(*SHAPE[1:]))
    if seen is not None:
        assert BACKENDS[name].answers == "pixel"
        assert len(seen.windows) == len(seen.shares) == max(1, len(student.branches))
        assert sum(seen.shares) == pytest.approx(1)
        assert all(window.side % 2 for windows in seen.windows for window in windows)
