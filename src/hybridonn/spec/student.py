"""The hybrid network that is trained."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from hybridonn.spec.section import Count, Section, Several

Backend = Literal["dense", "pyramid", "coarse_fine", "upsampling"]


class Branch(Section):
    """One of several optical frontends that look at the same scene side by side."""

    kernels: Count
    kernel_size: Count = 3
    # Pixels of the scene, along one side, in a pixel of this branch's sensor and kernels:
    # 2 is half the resolution, with point spread functions twice as large.
    binning: Count = 1

    @model_validator(mode="after")
    def _kernel_has_a_centre(self) -> Branch:
        check_odd(self.kernel_size)
        return self


class Student(Section):
    """The hybrid network: optical kernels, then a small digital backend.

    ``name`` is one of the systems of the paper: it fills in the keys that are not
    stated, every one of which can be stated.
    """

    name: Literal[
        "compressed_meta",
        "polychromatic_meta",
        "polychromatic_segmentation",
        "extreme_meta",
        "random_kernels",
    ] = "compressed_meta"
    kernels: Count = 8  # of all branches together
    kernel_size: Count = 7
    stride: Count = 1  # pixels of the scene a pixel of the feature map: a coarser sensor
    branches: Several[Branch] = ()  # several frontends; empty: one of kernels x kernel_size
    optics: Literal["trained", "random"] = "trained"  # random: the kernels stay as drawn
    # dense: pooling and dense layers, one answer an image. One answer a pixel: pyramid joins
    # the branches from coarse to fine by up-convolutions, coarse_fine fuses two branches,
    # upsampling is one layer.
    backend: Backend = "dense"
    normalisation: Literal["none", "batch"] = "none"  # batch: learnt gain and offset a kernel
    rectification: Literal["one_sided", "two_sided"] = "one_sided"  # two_sided: relu(x), relu(-x)
    pooling: Literal["average", "max"] = "average"
    pooled_size: Count = 6
    hidden: Several[Count] = (160,)  # widths of dense layers, or channels from fine to coarse
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0  # before each dense layer

    @property
    def task(self) -> str:
        """The task that the backend answers."""
        return "classification" if self.backend == "dense" else "segmentation"

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, tree: Any) -> Any:
        """What the name stands for, then what is stated."""
        if not isinstance(tree, Mapping):
            return tree
        filled = dict(SYSTEMS.get(str(tree.get("name")), {})) | dict(tree)
        if filled.get("branches") and "kernels" not in tree:
            filled["kernels"] = _count_kernels(filled["branches"])
        return filled

    @model_validator(mode="after")
    def _kernel_has_a_centre(self) -> Student:
        check_odd(self.kernel_size)
        return self

    @model_validator(mode="after")
    def _parts_fit(self) -> Student:
        found = sum(branch.kernels for branch in self.branches)
        if self.branches and found != self.kernels:
            raise ValueError(
                f"kernels is {self.kernels}, but the branches have {found} together; "
                "leave kernels out, or make them agree"
            )
        needed = {"pyramid": "two or more", "coarse_fine": "two"}.get(self.backend)
        given = len(self.branches)
        if needed and (given < 2 or (needed == "two" and given != 2)):
            raise ValueError(f"backend {self.backend} joins {needed} branches; {given} are given")
        if not needed and self.branches:
            raise ValueError(
                f"backend {self.backend} takes no branches; "
                "state kernels and kernel_size, or backend: pyramid or coarse_fine"
            )
        if needed and len(self.hidden) != given:
            raise ValueError(
                f"hidden has {len(self.hidden)} widths for {given} branches; backend "
                f"{self.backend} takes one a branch"
            )
        if needed and self.stride != 1:
            raise ValueError(
                f"stride is {self.stride}; a branch has its own resolution by binning, "
                "and stride must be 1"
            )
        return self


def check_odd(kernel_size: int) -> None:
    """Refuse a kernel without a centre.

    Raises:
        ValueError: The size is even.
    """
    if kernel_size % 2 == 0:
        raise ValueError(
            f"kernel_size is {kernel_size}; it must be odd, so that a kernel has a centre"
        )


def _count_kernels(branches: Any) -> Any:
    # Whatever is not a list of branches is refused by its own field, not here.
    listed = branches if isinstance(branches, list | tuple) else ()
    found = [
        branch.get("kernels") if isinstance(branch, Mapping) else getattr(branch, "kernels", None)
        for branch in listed
    ]
    counts = [count for count in found if isinstance(count, int)]
    return sum(counts) if counts and len(counts) == len(listed) else 1


# The systems of Xiang et al. 2025 (arXiv 2508.08421): kernels and sizes are the paper's, the
# backends' widths keep to its numbers of parameters (0.05, 1.62 and 1.06 million).
SYSTEMS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "compressed_meta": {},
        "polychromatic_meta": {
            "kernels": 16,
            "kernel_size": 7,
            "pooled_size": 10,
            "hidden": (768, 480),
        },
        "polychromatic_segmentation": {
            "branches": (
                {"kernels": 8, "kernel_size": 3, "binning": 1},
                {"kernels": 16, "kernel_size": 3, "binning": 2},
                {"kernels": 32, "kernel_size": 3, "binning": 4},
            ),
            "kernel_size": 3,
            "backend": "pyramid",
            "normalisation": "batch",
            "hidden": (16, 48, 128),
        },
        "extreme_meta": {
            "branches": (
                {"kernels": 16, "kernel_size": 3, "binning": 1},
                {"kernels": 40, "kernel_size": 3, "binning": 4},
            ),
            "kernel_size": 3,
            "backend": "coarse_fine",
            "normalisation": "batch",
            "hidden": (16, 96),
        },
        "random_kernels": {"optics": "random", "hidden": ()},
    }
)
