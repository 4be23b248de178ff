"""The hybrid network that is trained."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from hybridonn.spec.section import Count, Section


class Student(Section):
    """The hybrid network: optical kernels, then a small digital backend."""

    name: Literal["compressed_meta"] = "compressed_meta"
    kernels: Count = 8
    kernel_size: Count = 7
    stride: Count = 1  # pixels of the scene a pixel of the feature map: a coarser sensor
    pooling: Literal["average", "max"] = "average"
    pooled_size: Count = 6
    hidden: tuple[Count, ...] = (160,)

    @model_validator(mode="after")
    def _kernel_has_a_centre(self) -> Student:
        if self.kernel_size % 2 == 0:
            raise ValueError(
                f"kernel_size is {self.kernel_size}; it must be odd, so that a kernel has a centre"
            )
        return self
