"""The hybrid network that is trained."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from hybridonn.core.tables import NameOf
from hybridonn.networks.backends.table import BACKENDS
from hybridonn.spec.section import Count, Location, Section, Several
from hybridonn.spec.systems import SYSTEMS


class Branch(Section):
    """One of several optical frontends that look at the same scene side by side."""

    kernels: Count
    """Number of kernels of this branch."""
    kernel_size: Count = 3
    """Pixels of a kernel along one side; odd."""
    binning: Count = 1
    """Pixels of the scene, along one side, in one pixel of this branch: 2 is half the resolution,
    with PSFs twice as large.
    """

    @model_validator(mode="after")
    def _kernel_has_a_centre(self) -> Branch:
        check_odd(self.kernel_size)
        return self


class Student(Section):
    """The hybrid network: optical kernels, then a small digital backend.

    ``name`` is one of the systems of the paper: it fills in the keys that are not
    stated, every one of which can be stated.
    """

    CODE: ClassVar = ("backend", "backend_arguments")

    name: Annotated[str, NameOf(SYSTEMS)] = "compressed_meta"
    """A system of the paper, which fills in the keys that are not stated. `hybridonn list
    students` prints them. Source: arXiv 2508.08421.
    """
    kernels: Count = 8
    """Number of optical kernels, those of all branches together."""
    kernel_size: Count = 7
    """Pixels of a kernel along one side; odd."""
    stride: Count = 1
    """Pixels of the scene in one pixel of the feature map, along one side: a coarser sensor."""
    branches: Several[Branch] = ()
    """Several optical frontends side by side. []: one, of kernels and kernel_size."""
    optics: Literal["trained", "random", "none"] = "trained"
    """Whether the optical kernels are trained, or stay as they were drawn (random). none: no
    optics, a digital convolution of as many kernels of the same size in their place, trained, for
    an all-digital student with the same backend.
    """
    backend: Annotated[str, NameOf(BACKENDS, own_code=True)] = "dense"
    """The digital layers behind the optics. dense answers each image. pyramid (two or more
    branches), coarse_fine (two branches) and upsampling (no branches) answer each pixel.
    `package.module:callable` is code of your own, which is run.
    """
    backend_arguments: dict[str, Any] = Field(default={})
    """Arguments of a backend of your own."""
    code_folder: Location | None = None
    """Folder where the module of your own backend is looked for first. null: that of the spec
    file.
    """
    normalisation: Literal["none", "batch"] = "none"
    """Batch normalisation behind the optics, a gain and an offset for each kernel, or none."""
    rectification: Literal["one_sided", "two_sided"] = "one_sided"
    """Non-linearity behind the optics: relu(x), or relu(x) and relu(-x) (two_sided)."""
    pooling: Literal["average", "max"] = "average"
    """How the feature map is pooled."""
    pooled_size: Count = 6
    """Pixels along one side of the pooled feature map."""
    hidden: Several[Count] = (160,)
    """Widths of the hidden dense layers; channels from the fine to the coarse branch where each
    pixel is answered.
    """
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of inputs of each dense layer that are dropped in training."""

    @property
    def answers(self) -> str | None:
        """What the backend answers, an image or a pixel; None: of code of your own it is open."""
        return BACKENDS[self.backend].answers if self.backend in BACKENDS else None

    def split_kernels(self) -> tuple[tuple[slice, Branch], ...]:
        """Every branch of the optics, at least one, with its places among all kernels.

        A student that states no branches has one: its kernels, at full resolution.
        """
        whole = Branch(kernels=self.kernels, kernel_size=self.kernel_size)
        branches = self.branches or (whole,)
        ends = accumulate(branch.kernels for branch in branches)
        pairs = zip(ends, branches, strict=True)
        return tuple((slice(end - branch.kernels, end), branch) for end, branch in pairs)

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
        if self.backend in BACKENDS:
            self._backend_takes_the_branches(*BACKENDS[self.backend].branches)
        if self.backend in BACKENDS and self.backend_arguments:
            raise ValueError(
                f"backend_arguments are those of a backend of your own, but backend is "
                f"{self.backend}; leave them out, or name your code as package.module:callable"
            )
        if self.branches and self.stride != 1:
            raise ValueError(
                f"stride is {self.stride}; a branch has its own resolution by binning, "
                "and stride must be 1"
            )
        return self

    def _backend_takes_the_branches(self, fewest: int, most: int | None) -> None:
        given = len(self.branches)
        if given and not fewest:
            several = [name for name, other in BACKENDS.items() if other.branches[0]]
            raise ValueError(
                f"backend {self.backend} takes no branches; "
                f"state kernels and kernel_size, or backend: {' or '.join(several)}"
            )
        if given < fewest or (most is not None and given > most):
            needed = {(2, None): "two or more", (2, 2): "two"}.get((fewest, most))
            needed = needed or f"{fewest} to {'any number of' if most is None else most}"
            raise ValueError(f"backend {self.backend} joins {needed} branches; {given} are given")
        if fewest and len(self.hidden) != given:
            raise ValueError(
                f"hidden has {len(self.hidden)} widths for {given} branches; backend "
                f"{self.backend} takes one a branch"
            )


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
