import torch
from torch import nn

from hybridonn import spec
from hybridonn.distillation.averaging import WeightAverage
from hybridonn.distillation.schedule import find_rate, one_cycle


def small(value):
    network = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2), nn.Dropout(0.5))
    for weight in network.parameters():
        nn.init.constant_(weight, value)
    return network


def test_it_is_the_mean_with_the_statistics_of_the_averaged_weights():
    torch.manual_seed(0)
    scenes = [torch.rand(8, 1, 3, 3) for _ in range(3)]
    average = WeightAverage(small(1.0), {})
    average.add(small(1.0), iter(scenes), 0, 0)
    held = average.state()
    again = WeightAverage(small(0.0), held)
    for one in (average, again):
        one.add(small(4.0), iter(scenes), 0, 1)
    convolution, norm = average.network[0], average.network[1]
    torch.testing.assert_close(convolution.weight, torch.full((2, 1, 1, 1), 2.5))
    seen = torch.stack([convolution(scene).mean((0, 2, 3)) for scene in scenes]).mean(0)
    torch.testing.assert_close(norm.running_mean, seen)
    assert not average.network.training
    for name, value in average.network.state_dict().items():
        assert torch.equal(value, again.network.state_dict()[name])


def test_the_learning_rate_stays_while_weights_are_averaged():
    settings = spec.Training(epochs=10, learning_rate=0.1, averaging_start=0.6)
    rates = [find_rate(step, 4, settings) for step in range(40)]
    assert rates[:24] == [one_cycle(step, 40, 0.1) for step in range(24)]
    assert rates[24:] == [one_cycle(24, 40, 0.1)] * 16
    plain = spec.Training(epochs=10, learning_rate=0.1)
    assert find_rate(39, 4, plain) == one_cycle(39, 40, 0.1)
