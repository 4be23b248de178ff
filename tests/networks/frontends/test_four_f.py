import pytest
import torch
from torch.nn import functional as F

from hybridonn.core.errors import OpticsError
from hybridonn.networks.backends.dense import DenseBackend
from hybridonn.networks.frontends.four_f import FourFFrontend
from hybridonn.networks.hybrid import HybridNetwork
from hybridonn.optics.waves.four_f import FourFSystem

COLOURS = (635e-9, 532e-9, 450e-9)
MASKS = pytest.mark.parametrize("mask", ["complex", "phase"])


def build(kernels=3, kernel_size=5, colours=(532e-9,), shape=(12, 14), seed=0, **more):
    torch.manual_seed(seed)
    system = FourFSystem(colours, 0.1, 57, 8e-6, 96e-6)
    return FourFFrontend(kernels, kernel_size, system, shape, **more)


@MASKS
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_features_have_the_form_of_the_ideal_convolutions(mask, stride):
    frontend = build(colours=COLOURS, mask=mask, stride=stride)
    scene = torch.rand(2, 3, 12, 14)
    (features,) = frontend(scene)
    ideal = F.conv2d(scene, frontend.signed_kernels(), stride=stride, padding=2)
    assert features.shape == ideal.shape
    assert features.dtype == torch.float32
    assert frontend.signed_kernels().shape == (3, 3, 5, 5)
    assert features.min() < 0 < features.max()
    (whole,) = build(colours=COLOURS, mask=mask)(scene)
    assert torch.equal(features, whole[..., ::stride, ::stride])


@MASKS
def test_masks_are_passive(mask):
    frontend = build(mask=mask)
    with torch.no_grad():
        frontend.pixels.mul_(50)
    strength = frontend.transmissions().abs()
    assert strength.max() <= 1 + 1e-6
    if mask == "phase":
        assert torch.allclose(strength, torch.ones_like(strength))


@MASKS
def test_signed_kernels_are_the_response_to_small_changes(mask):
    """The derivative by autograd, in the middle of an evenly lit scene."""
    frontend = build(colours=COLOURS, shape=(41, 41), mask=mask).double()
    scene = torch.full((1, 3, 41, 41), 0.3, dtype=torch.float64, requires_grad=True)
    kernels = frontend.signed_kernels()
    for k in range(3):
        (slope,) = torch.autograd.grad(frontend(scene)[0][0, k, 20, 20], scene)
        near, kernel = slope[0, :, 18:23, 18:23], kernels[k].detach()
        assert float((near - kernel).norm() / kernel.norm()) < 0.03


@MASKS
def test_features_scale_as_the_light_does(mask):
    frontend = build(mask=mask)
    scene = torch.rand(2, 1, 12, 14) + 0.01
    assert torch.allclose(frontend(0.25 * scene)[0], 0.25 * frontend(scene)[0], atol=1e-4)


def test_the_start_is_the_interference_of_brightness_and_kernel():
    """Re(conj(u * a) (v * a)) with u and v the sum and the difference of the two responses."""
    frontend = build(shape=(20, 20))
    scene = torch.rand(1, 1, 20, 20) + 0.1
    matrix, masks = frontend.to_rows.to(torch.complex64), frontend.transmissions()
    spectrum = torch.fft.fft2(scene.sqrt(), s=(matrix.shape[1],) * 2)

    def convolve(mask):
        return torch.fft.ifft2(spectrum * (matrix @ mask @ matrix.mT))[..., :20, :20]

    sums, differences = (convolve(masks[:, 0, :] + s * masks[:, 1, :]) for s in (1, -1))
    expected = frontend.gain[:, None, None] * (sums.conj() * differences).real[:, 0]
    assert torch.allclose(frontend(scene)[0][0], expected, atol=1e-4)


def test_colours_add_up_on_the_sensor():
    frontend = build(colours=COLOURS)
    scene = torch.rand(2, 3, 12, 14)
    dark = torch.zeros_like(scene)
    parts = []
    for colour in range(3):
        one = dark.clone()
        one[:, colour] = scene[:, colour]
        parts.append(frontend(one)[0])
    assert torch.allclose(sum(parts), frontend(scene)[0], atol=1e-4)


@MASKS
def test_gradients_are_finite_on_black_scenes_and_reach_the_masks(mask):
    frontend = build(mask=mask)
    scene = torch.rand(2, 1, 12, 14)
    scene[..., :6] = 0
    scene.requires_grad_()
    frontend(scene)[0].square().sum().backward()
    for tensor in (scene, frontend.pixels, frontend.gain):
        assert tensor.grad is not None
        assert tensor.grad.isfinite().all()
        assert tensor.grad.abs().sum() > 0


@MASKS
def test_the_same_seed_gives_the_same_masks_and_only_they_are_saved(mask):
    one, again, other = build(mask=mask), build(mask=mask), build(mask=mask, seed=1)
    assert torch.equal(one.pixels, again.pixels)
    assert not torch.equal(one.pixels, other.pixels)
    assert set(one.state_dict()) == {"pixels", "gain"}
    other.load_state_dict(one.state_dict())
    scene = torch.rand(1, 1, 12, 14)
    assert torch.equal(one(scene)[0], other(scene)[0])


@MASKS
def test_it_learns_what_a_phase_blind_picture_cannot_show(mask):
    """Left or right edges of random stripes: the total light is the same."""
    generator = torch.Generator().manual_seed(0)
    scenes = 0.1 + 0.1 * torch.rand(256, 1, 12, 14, generator=generator)
    labels = torch.arange(256) % 2
    ramp = torch.linspace(0, 0.8, 7)
    for scene, label in zip(scenes, labels, strict=True):
        at = int(torch.randint(0, 8, (), generator=generator))
        scene[0, :, at : at + 7] += ramp if label else ramp.flip(0)
    network = HybridNetwork(build(mask=mask), DenseBackend(3, 3, (), 2))
    network = network.to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(network.parameters(), 0.02)
    for _ in range(40):
        loss = F.cross_entropy(network(scenes[:192]), labels[:192])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert (network(scenes[192:]).argmax(1) == labels[192:]).float().mean() > 0.9


@pytest.mark.parametrize("shape", [(2, 3, 12, 14), (2, 1, 14, 12), (1, 12, 14)])
def test_a_scene_of_another_shape(shape):
    with pytest.raises(OpticsError, match=r"takes \(B, 1, 12, 14\)"):
        build()(torch.rand(shape))


def test_a_phase_cannot_make_kernels_of_one_pixel():
    with pytest.raises(OpticsError, match="kernel_size is 1"):
        build(kernel_size=1, mask="phase")
    assert build(kernel_size=1)(torch.rand(1, 1, 12, 14))[0].isfinite().all()
