"""A backend as one C file with a header, for a microcontroller.

emx-onnx-cgen writes the operations; here its working memory becomes static, so that flash and RAM
are known when the program is linked and the stack stays small.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

from hybridonn.core.errors import DeploymentError
from hybridonn.core.files import write_text
from hybridonn.deployment.export import OUTPUT, name_branches
from hybridonn.deployment.extras import need_extra

NAME = "backend"
FLOAT_BYTES = 4
# A working array of the generated function, such as ``    float tmp0_add[1][8][28][28];``.
WORKING = re.compile(r"^    float (?P<name>\w+)(?P<first>\[\d+\])(?P<rest>(?:\[\d+\])+);$")
ENTRY = f"void {NAME}("

HEADER = """\
/* A hybridonn backend. All memory is static: one call at a time. */
#ifndef {guard}
#define {guard}

{sizes}

/* Answer one image.
{meaning} */
void {name}({arguments});

/* The same; the branches lie one after the other. */
void {name}_flat(const float inputs[{guard_inputs}], float outputs[{guard_outputs}]);

#endif
"""
FLAT = """
void {name}_flat(const float inputs[{inputs}], float outputs[{outputs}]) {{
    {name}({arguments});
}}
"""


@dataclass(frozen=True)
class CFile:
    """A backend in C.

    Attributes:
        source: The C file; the header stands beside it.
        weight_bytes: Constants, which lie in flash.
        working_bytes: Static working memory, which lies in RAM, without inputs and outputs.
        input_floats: Numbers in the features of an image, all branches together.
        output_floats: Numbers in an answer.
    """

    source: Path
    weight_bytes: int
    working_bytes: int
    input_floats: int
    output_floats: int


def write_c(
    onnx: Path,
    folder: Path,
    branch_shapes: Sequence[tuple[int, ...]],
    output_shape: tuple[int, ...],
) -> CFile:
    """Write a backend as ``backend.c`` and ``backend.h``.

    Args:
        onnx: The backend in float32.
        folder: Where to write.
        branch_shapes: (K_b, H', W') of each branch, from fine to coarse.
        output_shape: Shape of the answer to an image.

    Raises:
        DeploymentError: The generator is not installed, or cannot translate the backend.
    """
    need_extra("emx_onnx_cgen")
    source = folder / f"{NAME}.c"
    _generate(onnx, source)
    text, working = _make_static(source.read_text())
    inputs, outputs = sum(map(prod, branch_shapes)), prod(output_shape)
    write_text(folder / f"{NAME}.h", _write_header(branch_shapes, output_shape))
    flat = FLAT.format(
        name=NAME, inputs=inputs, outputs=outputs, arguments=_cast(branch_shapes, output_shape)
    )
    write_text(source, text + flat)
    return CFile(source, _count_weights(onnx), FLOAT_BYTES * working, inputs, outputs)


def _generate(onnx: Path, source: Path) -> None:
    """Let the generator translate a network, with all weights in the file.

    Raises:
        DeploymentError: It cannot.
    """
    options = ["--model-name", NAME, "--input-dim", "batch=1"]
    options += ["--large-temp-threshold", "0", "--large-weight-threshold", "0"]
    command = [sys.executable, "-m", "emx_onnx_cgen", "compile", *options, str(onnx), str(source)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    if found.returncode or not source.is_file():
        said = (found.stderr or found.stdout).strip().splitlines()
        raise DeploymentError(
            f"{onnx.name} cannot be written as C: {said[-1] if said else 'no reason is given'}; "
            "the ONNX files run everywhere else"
        )


def _make_static(text: str) -> tuple[str, int]:
    """The same file with one static block of working memory, and its bytes.

    Arrays of numbers that are never in use at the same time share their place.

    Raises:
        DeploymentError: The generator writes another form than is known here.
    """
    start = text.find(f"\n{ENTRY}")
    if start < 0:
        raise DeploymentError(
            "the C file has no function of the known form; emx-onnx-cgen 1.4 is needed"
        )
    lines = text[start:].split("\n")
    arrays = [found for line in lines if (found := WORKING.match(line))]
    calls = [line for line in lines if line.startswith("    node")]
    spans = [_find_span(calls, found["name"]) for found in arrays]
    places, total = place_arrays([_count(found) for found in arrays], spans)
    known = {found.string: _point(found, at) for found, at in zip(arrays, places, strict=True)}
    block = f"\nstatic float working[{max(total, 1)}];\n"
    return text[:start] + block + "\n".join(known.get(line, line) for line in lines), total


def _point(found: re.Match[str], place: int) -> str:
    """An array of the generated function as a place in the working memory."""
    return f"    float (*const {found['name']}){found['rest']} = (void *)(working + {place});"


def _find_span(calls: Sequence[str], name: str) -> tuple[int, int]:
    """The first and the last call that an array is used in."""
    used = [index for index, line in enumerate(calls) if re.search(rf"\b{name}\b", line)]
    return (used[0], used[-1]) if used else (0, len(calls))


def _count(found: re.Match[str]) -> int:
    """Numbers of an array."""
    return prod(map(int, re.findall(r"\d+", found["first"] + found["rest"])))


def place_arrays(sizes: Sequence[int], spans: Sequence[tuple[int, int]]) -> tuple[list[int], int]:
    """Offsets in one block for arrays that are in use from one step to another, both included.

    The largest is placed first, each at the lowest offset at which no array lies that is in use
    at the same time.

    Args:
        sizes: Sizes of the arrays.
        spans: First and last step at which each is in use.

    Returns:
        The offsets, and the size of the block.
    """
    offsets: dict[int, int] = {}
    for index in sorted(range(len(sizes)), key=lambda one: -sizes[one]):
        first, last = spans[index]
        beside = sorted(
            (offsets[other], sizes[other])
            for other in offsets
            if spans[other][0] <= last and first <= spans[other][1]
        )
        offset = 0
        for start, size in beside:
            if offset + sizes[index] <= start:
                break
            offset = max(offset, start + size)
        offsets[index] = offset
    total = max((offsets[one] + sizes[one] for one in offsets), default=0)
    return [offsets[index] for index in range(len(sizes))], total


def _write_header(branch_shapes: Sequence[tuple[int, ...]], output_shape: tuple[int, ...]) -> str:
    guard = f"HYBRIDONN_{NAME.upper()}_H"
    inputs, outputs = sum(map(prod, branch_shapes)), prod(output_shape)
    names = name_branches(len(branch_shapes))
    arguments = [
        f"const float {name}[1]{_brackets(shape)}"
        for name, shape in zip(names, branch_shapes, strict=True)
    ]
    meaning = "".join(
        f" * {name}: signed features of {shape[0]} kernels, {shape[1]} x {shape[2]} pixels.\n"
        for name, shape in zip(names, branch_shapes, strict=True)
    )
    return HEADER.format(
        guard=guard,
        name=NAME,
        sizes=f"#define {NAME.upper()}_INPUTS {inputs}\n#define {NAME.upper()}_OUTPUTS {outputs}",
        meaning=meaning + f" * {OUTPUT}: one number a class.",
        arguments=", ".join([*arguments, f"float {OUTPUT}[1]{_brackets(output_shape)}"]),
        guard_inputs=f"{NAME.upper()}_INPUTS",
        guard_outputs=f"{NAME.upper()}_OUTPUTS",
    )


def _cast(branch_shapes: Sequence[tuple[int, ...]], output_shape: tuple[int, ...]) -> str:
    """Arguments of the function for branches that lie one after the other."""
    parts, start = [], 0
    for shape in branch_shapes:
        parts.append(f"(const float (*){_brackets(shape)})(inputs + {start})")
        start += prod(shape)
    return ", ".join([*parts, f"(float (*){_brackets(output_shape)})outputs"])


def _brackets(shape: tuple[int, ...]) -> str:
    return "".join(f"[{size}]" for size in shape)


def _count_weights(onnx: Path) -> int:
    """Bytes of the constants of a network."""
    import onnx as library

    return sum(len(one.raw_data) for one in library.load(str(onnx)).graph.initializer)
