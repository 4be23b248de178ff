"""A design as the page states it, and the spec that it stands for."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from hybridonn.core.errors import SpecError
from hybridonn.data.readers.table import DATA_SETS
from hybridonn.spec import Spec
from hybridonn.spec.starter import lay_answers, start_tree, write_starter
from hybridonn.spec.tree import validate

HERE = "the design"
DECIMALS = 6  # of a length in mm: a nanometre


@dataclass(frozen=True)
class Design:
    """What the sliders and fields of the page say.

    Attributes:
        data: Name of the data set, which brings its task and the networks of its example.
        folder: Where the images lie; empty: in the data root.
        width_mm: Width of the metasurface.
        height_mm: Height of the metasurface.
        site_mm: Side of the square of one sub-optic.
        gap_mm: Distance between neighbouring sub-optics.
        kernels: Number of optical kernels, those of all branches together.
        kernel_size: Pixels of a kernel along one side.
        pooled_size: Pixels along one side of the pooled feature map; of branches there is none.
        wavelengths: Wavelengths in nm, separated by commas; empty: those of the example.
        lens: Whether a plain lens stands in the place of the kernels.
    """

    data: str = "digits"
    folder: str = ""
    width_mm: float = 4.0
    height_mm: float = 4.0
    site_mm: float = 0.938
    gap_mm: float = 0.05
    kernels: int = 8
    kernel_size: int = 5
    pooled_size: int = 4
    wavelengths: str = ""
    lens: bool = False


@cache
def _start(data: str) -> tuple[dict[str, Any], Spec]:
    """Tree and spec of the example of a data set; where its images lie does not matter.

    Raises:
        SpecError: There is no such data set.
    """
    tree = start_tree({"data.name": data})
    named = DATA_SETS[data]
    lay_answers(tree, {"task": named.task})
    placed = deepcopy(tree)
    if named.folder == "required":
        lay_answers(placed, {"data.folder": "."})
    return tree, validate(placed, f"the example of {data}")


def start_design(data: str) -> Design:
    """The design of the example of a data set.

    Args:
        data: Name of the data set.

    Raises:
        SpecError: There is no such data set.
    """
    _, spec = _start(data)
    optics, student = spec.optics, spec.student
    nm = optics.wavelengths_nm
    return Design(
        data,
        width_mm=optics.metasurface_width_mm,
        height_mm=optics.metasurface_height_mm,
        site_mm=optics.kernel_site_mm,
        gap_mm=optics.gap_mm,
        kernels=student.kernels,
        kernel_size=max(branch.kernel_size for _, branch in student.split_kernels()),
        pooled_size=student.pooled_size,
        wavelengths="" if nm is None else ", ".join(f"{one:g}" for one in nm),
    )


def count_branches(data: str) -> int:
    """Branches of the networks of a data set; 0: it has one optics, and a pooled size."""
    return len(_start(data)[1].student.branches)


def build_spec(design: Design) -> Spec:
    """The spec of a design.

    Raises:
        SpecError: Two of its values do not go together, or one is not allowed.
    """
    tree = deepcopy(_start(design.data)[0])
    lay_answers(tree, list_answers(design))
    return validate(tree, HERE)


def write_spec(design: Design) -> str:
    """The spec of a design as commented YAML, with the line by which editors complete keys.

    Raises:
        SpecError: Two of its values do not go together, or one is not allowed.
    """
    return write_starter(list_answers(design))


def list_answers(design: Design) -> dict[str, Any]:
    """The values of a design by the keys of the spec.

    Raises:
        SpecError: The wavelengths are no numbers.
    """
    tree, spec = _start(design.data)
    answers: dict[str, Any] = {
        "name": f"{tree.get('name', design.data)}-design",
        "task": DATA_SETS[design.data].task,
        "data.name": design.data,
        "optics.metasurface_width_mm": round(design.width_mm, DECIMALS),
        "optics.metasurface_height_mm": round(design.height_mm, DECIMALS),
        "optics.kernel_site_mm": round(design.site_mm, DECIMALS),
        "optics.gap_mm": round(design.gap_mm, DECIMALS),
    }
    if design.folder:
        answers["data.folder"] = design.folder
    if design.wavelengths.strip():
        answers["optics.wavelengths_nm"] = read_wavelengths(design.wavelengths)
    if design.lens:
        answers["optics.frontend"] = "lens"
    shares = share_kernels(design.kernels, [one.kernels for one in spec.student.branches])
    if not shares:
        sizes = (design.kernels, design.kernel_size, design.pooled_size)
        keys = ("student.kernels", "student.kernel_size", "student.pooled_size")
        return answers | dict(zip(keys, sizes, strict=True))
    branches = [
        {"kernels": count, "kernel_size": design.kernel_size, "binning": one.binning}
        for count, one in zip(shares, spec.student.branches, strict=True)
    ]
    return answers | {"student.branches": branches}


def share_kernels(kernels: int, parts: Sequence[int]) -> list[int]:
    """Kernels shared among branches in the example's proportions, at least one each.

    Args:
        kernels: Kernels of all branches together.
        parts: Kernels of each branch of the example; empty: there are no branches.

    Raises:
        SpecError: There are fewer kernels than branches.
    """
    if kernels < len(parts):
        raise SpecError(f"{kernels} kernels are fewer than the {len(parts)} branches; take more")
    whole = sum(parts)
    shares = [max(1, int(kernels * part / whole)) for part in parts]
    while parts and (left := kernels - sum(shares)):
        short = [kernels * part / whole - one for part, one in zip(parts, shares, strict=True)]
        able = [place for place, one in enumerate(shares) if left > 0 or one > 1]
        pick = max if left > 0 else min
        shares[pick(able, key=short.__getitem__)] += 1 if left > 0 else -1
    return shares


def read_wavelengths(text: str) -> list[float]:
    """Wavelengths in nm of a text with commas.

    Raises:
        SpecError: An entry is no number.
    """
    try:
        return [float(one) for one in text.split(",")]
    except ValueError:
        raise SpecError(
            f"wavelengths are {text[:40]!r}; state numbers in nm with commas between them, such as "
            "635, 532, 450"
        ) from None


def as_lens(design: Design, channels: int) -> Design:
    """The same backend behind a plain lens, which has a kernel a channel.

    Args:
        design: The design.
        channels: Channels of the images.
    """
    return replace(design, lens=True, kernels=channels)
