"""What loading and augmentation cost beside a training step, and in memory: CIFAR-10, batch 128.

Run ``python benchmarks/data.py [--data-root DATA] [--json FILE]``; set OMP_NUM_THREADS first.
Without CIFAR-10 in DATA, as many random images take its place. Times are minima over
repetitions, taken in turn so that other work on the machine hits both sides. The device is
CUDA where there is one; the images then lie there as bytes and are augmented there.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hybridonn.core.errors import DataError
from hybridonn.data import ImageSet, data_root, load_batch, load_dataset
from hybridonn.data.dataset import UnsplitSet
from hybridonn.data.readers.cifar import CIFAR10_CLASSES
from hybridonn.data.splits import split_set
from hybridonn.networks.teachers.build import build_teacher
from hybridonn.spec import Augmentation, Data

BATCH = 128
SETTINGS = {
    "none": Augmentation(),
    "crop and flip": Augmentation(flip=True, crop_pixels=4),
    "crop, flip and colour": Augmentation(
        flip=True, crop_pixels=4, brightness=0.2, contrast=0.2, saturation=0.2
    ),
    "shift, rotation and scale": Augmentation(
        shift_pixels=2, rotation_degrees=10, scale_fraction=0.1
    ),
}
# What CIFAR-10 is trained with, and the dearest that is usual: the shares are stated for both.
STATED = {"": "crop and flip", "_with_colour": "crop, flip and colour"}


class Student(nn.Module):
    """A polychromatic student: 16 colour kernels 7x7, then three dense layers."""

    def __init__(self):
        super().__init__()
        self.optics = nn.Conv2d(3, 16, 7, padding=3, bias=False)
        self.head = nn.Sequential(
            nn.Linear(1600, 768), nn.ReLU(), nn.Linear(768, 500), nn.ReLU(), nn.Linear(500, 10)
        )

    def forward(self, scene: Tensor) -> Tensor:
        """(B, 3, 32, 32) to (B, 10)."""
        return self.head(F.adaptive_avg_pool2d(F.relu(self.optics(scene)), 10).flatten(1))


def minima(repeats: int, *functions: Callable[[], object]) -> list[float]:
    """The shortest time of each function in seconds, called in turn."""
    best = [float("inf")] * len(functions)
    for turn in range(repeats + 1):
        for index, function in enumerate(functions):
            start = time.perf_counter()
            function()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if turn:  # the first turn warms up
                best[index] = min(best[index], time.perf_counter() - start)
    return best


def read_images(root: Path | None) -> tuple[ImageSet, str]:
    data = Data(name="cifar10", folder=root or data_root())  # a folder is never downloaded to
    try:
        return load_dataset(data).train, "CIFAR-10"
    except DataError:
        images = torch.randint(0, 256, (60000, 3, 32, 32), dtype=torch.uint8)
        labels = torch.arange(60000) % 10
        train = ImageSet(images[:50000], labels[:50000])
        test = ImageSet(images[50000:], labels[50000:])
        unsplit = UnsplitSet("random", CIFAR10_CLASSES, train, test)
        return split_set(unsplit, data).train, "random images"


def make_step(network: nn.Module, device: torch.device) -> Callable[[Tensor, Tensor], None]:
    network.to(device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3)

    def step(scene: Tensor, labels: Tensor) -> None:
        loss = F.cross_entropy(network(scene), labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    return step


def peak_memory_mb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--data-root", type=Path)
    options.add_argument("--json", type=Path)
    options.add_argument("--repeats", type=int, default=20)
    chosen = options.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    started = time.perf_counter()
    images, source = read_images(chosen.data_root)
    found: dict[str, object] = {
        "images": source,
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        "read_seconds": round(time.perf_counter() - started, 2),
        "peak_memory_mb_reading": peak_memory_mb(),
    }
    images = images.to(device)
    generator = torch.Generator().manual_seed(0)
    indices = torch.randperm(len(images), generator=generator)[:BATCH].to(device)

    def load(settings: Augmentation) -> tuple[Tensor, Tensor]:
        scene, labels = load_batch(images, indices, settings, generator)
        return scene.to(memory_format=torch.channels_last), labels

    batch = load(SETTINGS["none"])
    steps = {
        "student": make_step(Student(), device),
        "teacher_lenet": make_step(build_teacher("lenet", {}, (3, 32, 32), 10, 0), device),
        "teacher": make_step(build_teacher("resnet18", {}, (3, 32, 32), 10, 0), device),
    }
    loads = [lambda settings=settings: load(settings) for settings in SETTINGS.values()]
    light = [lambda step=step: step(*batch) for name, step in steps.items() if name != "teacher"]
    times = minima(chosen.repeats, *loads, *light)
    times += minima(min(chosen.repeats, 3), lambda: steps["teacher"](*batch))
    loading = dict(zip(SETTINGS, times, strict=False))
    for name, seconds in loading.items():
        found[f"loading_ms_{name.replace(', ', '_').replace(' ', '_')}"] = round(1e3 * seconds, 3)
    for name, seconds in zip(steps, times[len(loads) :], strict=True):
        found[f"step_ms_{name}"] = round(1e3 * seconds, 3)
        for ending, changes in STATED.items():
            found[f"loading_share_{name}{ending}"] = round(loading[changes] / seconds, 5)
    found["peak_memory_mb"] = peak_memory_mb()
    text = json.dumps(found, indent=2)
    print(text)
    if chosen.json:
        chosen.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
