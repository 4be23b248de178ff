"""Runs a TensorFlow Lite file by TensorFlow Lite Micro, in a process of its own.

    python interpret.py MODEL INPUTS.npz OUTPUTS.npy

The interpreter ends its process where a file is wrong, and tells its memory on the error stream
alone.
"""

import sys
from pathlib import Path

import numpy as np

ARENA_BYTES = 2**28  # of which the interpreter tells how much it used


def main(model, inputs, outputs):
    """Answer images, (N, ...) int8 for each input by its place, and tell the memory."""
    from tflite_micro import runtime  # pyright: ignore[reportMissingImports]

    interpreter = runtime.Interpreter.from_bytes(Path(model).read_bytes(), arena_size=ARENA_BYTES)
    with np.load(inputs) as held:
        branches = [held[name] for name in held.files]
    found = []
    for images in zip(*branches, strict=True):
        for place, image in enumerate(images):
            interpreter.set_input(image[None], place)
        interpreter.invoke()
        found.append(interpreter.get_output(0)[0])
    np.save(outputs, np.stack(found))
    interpreter.print_allocations()


if __name__ == "__main__":
    main(*sys.argv[1:])
