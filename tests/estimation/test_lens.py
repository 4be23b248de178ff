"""The estimate of a plain lens: the wide backend alone, behind images that are pooled first."""

import pytest
import torch

from hybridonn.core.errors import SpecError
from hybridonn.core.progress import Silent
from hybridonn.estimation import Settings, estimate_accuracy
from hybridonn.estimation.estimators import EstimateInputs
from hybridonn.estimation.lens import estimate_lens, list_seen_layers
from hybridonn.spec import Student


def make_inputs(folder, **student):
    dice = torch.Generator().manual_seed(0)
    labels = torch.arange(60) % 3
    images = torch.rand(60, 1, 9, 9, generator=dice) / 2
    for image, label in zip(images, labels, strict=True):
        image[:, 3 * label : 3 * label + 3] += 0.1
    parts = (images[:40], labels[:40]), (images[40:], labels[40:])
    rest = (3, lambda logits, labels: labels, 1, Settings(), Silent(), folder)
    return EstimateInputs(Student(**student), *parts, *rest)


@pytest.mark.parametrize("stride", [1, 2])
def test_pooled_images_have_the_kernel_of_a_pooling_layer(stride, tmp_path):
    inputs = make_inputs(tmp_path, kernels=1, pooled_size=2, stride=stride, hidden=(5, 5))
    found = estimate_lens(inputs)
    train, test = (images[:, :, ::stride, ::stride] for images, _ in (inputs.train, inputs.test))
    layers = list_seen_layers(inputs)
    whole = estimate_accuracy(layers, train, inputs.train[1], test, inputs.test[1])
    assert 0.4 < found.accuracy < 1
    assert torch.equal(found.scores, whole.scores)
    assert (found.lambda_, found.method) == (whole.lambda_, whole.method)


def test_a_backend_without_a_wide_network_is_refused(tmp_path):
    branches = ({"kernels": 1}, {"kernels": 1, "binning": 2})
    inputs = make_inputs(tmp_path, backend="pyramid", branches=branches, hidden=(2, 2))
    with pytest.raises(SpecError, match="no estimate of it behind a lens"):
        estimate_lens(inputs)
