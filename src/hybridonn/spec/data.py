"""The images that a run is about."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import model_validator

from hybridonn.spec.section import Count, Fraction, Section, Seed


class Data(Section):
    """The images: a named set, or a folder in a standard layout."""

    name: Literal["digits", "mnist", "idx"] = "digits"
    folder: Path | None = None  # of name: idx
    variant: str | None = None  # which of a folder's sets, where it holds several (EMNIST)
    transpose: bool = False  # EMNIST stores its images transposed
    train_images: Count | None = None  # images that the student sees; None: all
    validation_fraction: Fraction = 0.1  # of the images that are not for testing
    test_fraction: Fraction = 0.2  # where the set has no test part of its own
    split_seed: Seed = 0

    @model_validator(mode="after")
    def _folder_goes_with_idx(self) -> Data:
        if (self.name == "idx") != (self.folder is not None):
            raise ValueError(
                f"folder is {self.folder} with name: {self.name}; "
                "name: idx needs a folder, and no other name takes one"
            )
        return self
