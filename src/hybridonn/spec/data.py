"""The images that a run is about."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, Strict, model_validator

from hybridonn.core.tables import NameOf
from hybridonn.data.readers.table import DATA_SETS
from hybridonn.spec.section import Count, Fraction, Location, Section, Seed, Several


def _to_pair(value: Any) -> Any:
    return (value, value) if isinstance(value, int) and not isinstance(value, bool) else value


# (height, width), or one for both.
Size = Annotated[tuple[Count, Count], Strict(False), BeforeValidator(_to_pair)]


class Data(Section):
    """The images: a named set, or a folder in a standard layout."""

    name: Annotated[str, NameOf(DATA_SETS)] = "digits"
    folder: Location | None = (
        None  # of idx, image_folder and mask_folder; of others: where they lie
    )
    variant: str | None = None  # which of a folder's sets, where it holds several (EMNIST)
    transpose: bool = False  # EMNIST stores its images transposed
    colour: Literal["auto", "rgb", "grey"] = "auto"  # auto: as stored, all images alike
    size_pixels: Size | None = None  # of a square, or [height, width]; None: as stored
    resize: Literal["crop", "stretch", "pad"] = "crop"  # where the shape differs
    bit_depth: Annotated[int, Field(ge=8, le=16)] | None = None  # of 16-bit files; None: recognised
    mask_classes: Annotated[Several[str], Field(min_length=2, max_length=256)] | None = None
    skip_bad: bool = False  # leave damaged files out, and count them
    train_images: Count | None = None  # images that the student sees; None: all
    validation_fraction: Fraction = 0.1  # of the images that are not for testing
    test_fraction: Fraction = 0.2  # where the set has no test part of its own
    split_seed: Seed = 0

    @property
    def task(self) -> str:
        """The task that the labels of the set are for."""
        return DATA_SETS[self.name].task

    @model_validator(mode="after")
    def _folder_goes_with_its_names(self) -> Data:
        rule = DATA_SETS[self.name].folder
        if (rule == "required" and self.folder is None) or (rule == "none" and self.folder):
            raise ValueError(
                f"folder is {self.folder} with name: {self.name}; name: "
                f"{', '.join(_list_sets('required'))} needs a folder, and name: "
                f"{' or '.join(_list_sets('none'))} takes none"
            )
        return self

    @model_validator(mode="after")
    def _bit_depth_goes_with_files(self) -> Data:
        files = [name for name, named in DATA_SETS.items() if named.image_files]
        if self.bit_depth is not None and not DATA_SETS[self.name].image_files:
            raise ValueError(
                f"bit_depth is {self.bit_depth} with name: {self.name}, whose values have 8 bits; "
                f"it is for sets of files of 16 bits: {', '.join(files)}"
            )
        return self

    @model_validator(mode="after")
    def _mask_classes_go_with_masks(self) -> Data:
        takers = [name for name, named in DATA_SETS.items() if "mask_classes" in named.takes]
        if self.mask_classes and self.name not in takers:
            raise ValueError(
                f"mask_classes is given with name: {self.name}; only name: "
                f"{' or '.join(takers)} takes it: "
                "the names of the values 0, 1, 2 ... of its masks"
            )
        return self


def _list_sets(folder: str) -> list[str]:
    return [name for name, named in DATA_SETS.items() if named.folder == folder]
