"""Weights of a stage go into the network that they are of, or are refused in a sentence."""

import pytest
import torch
from torch import nn

from hybridonn.core.errors import ArtefactError
from hybridonn.core.files import write_tensors
from hybridonn.pipeline.weights import put_weights


def test_weights_of_a_stage_are_put_in(tmp_path):
    made, other = nn.Linear(3, 2), nn.Linear(3, 2)
    write_tensors(tmp_path / "student" / "weights.safetensors", made.state_dict())
    put_weights(other, tmp_path / "student" / "weights.safetensors")
    assert torch.equal(made.weight, other.weight)


@pytest.mark.parametrize("other", [nn.Linear(4, 2), nn.Sequential(nn.Linear(3, 2))])
def test_those_of_another_network_are_one_sentence(tmp_path, other):
    path = tmp_path / "run" / "student" / "weights.safetensors"
    write_tensors(path, nn.Linear(3, 2).state_dict())
    with pytest.raises(ArtefactError, match=r"^the student of .*run does not fit its spec \(.+\);"):
        put_weights(other, path)
