"""What wave optics cost: against bare FFTs, against TorchOptics, and the look-up of widths.

Run ``python benchmarks/optics.py [--json FILE]``; set OMP_NUM_THREADS first. Times are
minima over repetitions, taken in turn so that other work on the machine hits both sides.
TorchOptics comes with the extra ``test``; it pads as we do, to twice the size.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from itertools import pairwise
from pathlib import Path

import torch
from timing import minima

from hybridonn.optics.waves.propagation import Propagator

SIDE, PITCH_M, GREEN_M = 512, 0.8e-6, 532e-9
CELLS, CELL_M, KERNEL = 1600, 586e-9, 7
SCENE = 32  # pixels of CIFAR-10
COLOURS_M = (635e-9, 532e-9, 450e-9)


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.complex64)


def bare(field: torch.Tensor, transfer: torch.Tensor) -> torch.Tensor:
    """Two transforms of a field of the padded size and a product with what is ready."""
    return torch.fft.ifft2(torch.fft.fft2(field) * transfer)


def with_gradient(function, field: torch.Tensor):
    """The function and its gradient, from a given gradient of its result."""
    leaf = field.clone().requires_grad_()
    seed = torch.ones_like(function(field))

    def run() -> None:
        leaf.grad = None
        function(leaf).backward(seed)

    return run


def propagation() -> dict[str, float]:
    focus = SIDE * PITCH_M / 2 / math.tan(math.asin(0.17))
    ours = Propagator((SIDE, SIDE), PITCH_M, [GREEN_M], focus)
    field, padded = draw(1, SIDE, SIDE), draw(1, 2 * SIDE, 2 * SIDE)

    def fft(field: torch.Tensor) -> torch.Tensor:
        return bare(field, ours.transfer)

    fast, ffts = minima(40, lambda: ours(field), lambda: fft(padded))
    both, fft_both = minima(20, with_gradient(ours, field), with_gradient(fft, padded))
    return {
        "ours_over_fft_forward": fast / ffts,
        "ours_over_fft_gradient": both / fft_both,
        "ours_ms": fast * 1e3,
    }


def against_torchoptics() -> dict[str, float | None]:
    try:
        import torchoptics
    except ImportError as error:
        print(f"TorchOptics is not here: {error}; pip install torchoptics")
        return {"torchoptics_over_ours_forward": None}
    distance = 1e-3
    field = draw(SIDE, SIDE)
    ours = Propagator((SIDE, SIDE), PITCH_M, [GREEN_M], distance)
    theirs = torchoptics.Field(field, GREEN_M, 0, spacing=PITCH_M)

    def slow() -> torch.Tensor:
        return theirs.propagate_to_z(distance, propagation_method="ASM", asm_pad=SIDE // 2).data

    fast, slower = minima(10, lambda: ours(field[None]), slow)
    return {"torchoptics_over_ours_forward": slower / fast}


def design_step() -> dict[str, float]:
    """A gradient step of the inverse design against its transforms alone.

    Of both sub-optics of a kernel at three wavelengths, as the stage ``metasurface`` takes it for
    captures of 32 x 32: light on all pixels that such a capture sees, and 128 scenes. Alone:
    forward and back, each with one whole transform to the spectrum and one from it, of the
    size that the step uses.
    """
    from hybridonn.optics.meta_atoms.pillars import default_library
    from hybridonn.optics.metasurface import inverse_design
    from hybridonn.optics.metasurface.sub_optic import Metasurface
    from hybridonn.optics.metasurface.targets import split_kernels

    metasurface = Metasurface(CELL_M, CELLS, 2.4e-3, 20, COLOURS_M)
    library = default_library().at(COLOURS_M)
    limits = inverse_design.limit_widths(library, 65e-9, 50e-9, 1e-9)
    recipe = inverse_design.Recipe(start="random", start_rounds=0, steps=3)
    design_context = inverse_design.DesignContext(metasurface, library, limits, recipe)
    targets = split_kernels(torch.randn(1, 3, KERNEL, KERNEL))
    window, scenes = 2 * SCENE - 1, torch.rand(128, 3, SCENE, SCENE)
    propagator = metasurface.propagator(window)
    loss = inverse_design.make_loss(targets, design_context, window, scenes)
    start = inverse_design.start_at_random(targets, design_context, [0])
    field = draw(2, *propagator.transfer.shape)
    steps, transforms = [], []
    for _ in range(3):
        marks: list[float] = []

        def watch(_: float, marks: list[float] = marks) -> None:
            marks.append(time.perf_counter())

        inverse_design.refine(start, targets, design_context, propagator, loss, watch)
        steps += [after - before for before, after in pairwise(marks)]
        begin = time.perf_counter()
        for _ in range(2):
            torch.fft.ifft2(torch.fft.fft2(field))
        transforms.append(time.perf_counter() - begin)
    return {"design_step_over_fft": min(steps) / min(transforms), "design_step_s": min(steps)}


def look_up() -> dict[str, float]:
    """The nearest manufacturable width in each cell of a mask, three wavelengths at once."""
    from hybridonn.optics.meta_atoms import look_up
    from hybridonn.optics.meta_atoms.pillars import default_library

    library = default_library().at(COLOURS_M)
    widths_m = look_up.allowed_widths(library)
    target = torch.polar(torch.ones(3, CELLS, CELLS), 2 * math.pi * torch.rand(3, CELLS, CELLS))
    (seconds,) = minima(3, lambda: look_up.look_up(library, target, widths_m=widths_m))
    return {"lookup_seconds": seconds}


MEASURES = {
    measure.__name__: measure
    for measure in (propagation, against_torchoptics, design_step, look_up)
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="file for the numbers")
    parser.add_argument("--only", choices=MEASURES, help="one of the measurements")
    options = parser.parse_args()
    found: dict[str, float | None] = {}
    torch.manual_seed(0)
    for name, measure in MEASURES.items():
        if options.only not in (None, name):
            continue
        numbers = measure()
        for key, value in numbers.items():
            print(f"{key:45} {'-' if value is None else format(value, '.3g')}", flush=True)
        found |= numbers
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
