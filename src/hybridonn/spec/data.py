"""The images that a run is about."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, Strict, model_validator

from hybridonn.spec.section import Count, Fraction, Location, Section, Seed, Several

# Sets of the user's own, which always need a folder; those that come with the package or have
# one place in the data root, which take none; all others may name one.
FOLDER_SETS = ("image_folder", "mask_folder", "idx")
FIXED_SETS = ("digits", "mnist")
PICTURE_SETS = ("image_folder", "imagenet100", "mask_folder", "carvana", "dsb2018", "coco_stuff10k")
MASK_SETS = ("mask_folder", "carvana", "dsb2018", "coco_stuff10k")


def _to_pair(value: Any) -> Any:
    return (value, value) if isinstance(value, int) and not isinstance(value, bool) else value


# (height, width), or one for both.
Size = Annotated[tuple[Count, Count], Strict(False), BeforeValidator(_to_pair)]


class Data(Section):
    """The images: a named set, or a folder in a standard layout."""

    name: Literal[
        "cifar10",
        "cifar100",
        "imagenet100",
        "image_folder",
        "carvana",
        "dsb2018",
        "coco_stuff10k",
        "mask_folder",
        "digits",
        "mnist",
        "idx",
    ] = "digits"
    folder: Location | None = (
        None  # of idx, image_folder and mask_folder; of others: where they lie
    )
    variant: str | None = None  # which of a folder's sets, where it holds several (EMNIST)
    transpose: bool = False  # EMNIST stores its images transposed
    colour: Literal["auto", "rgb", "grey"] = "auto"  # auto: as stored, all pictures alike
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
        return "segmentation" if self.name in MASK_SETS else "classification"

    @model_validator(mode="after")
    def _folder_goes_with_its_names(self) -> Data:
        needs, takes = self.name in FOLDER_SETS, self.name not in FIXED_SETS
        if (needs and self.folder is None) or (not takes and self.folder is not None):
            raise ValueError(
                f"folder is {self.folder} with name: {self.name}; name: {', '.join(FOLDER_SETS)} "
                f"needs a folder, and name: {' or '.join(FIXED_SETS)} takes none"
            )
        return self

    @model_validator(mode="after")
    def _bit_depth_goes_with_files(self) -> Data:
        if self.bit_depth is not None and self.name not in PICTURE_SETS:
            raise ValueError(
                f"bit_depth is {self.bit_depth} with name: {self.name}, whose values have 8 bits; "
                f"it is for sets of files of 16 bits: {', '.join(PICTURE_SETS)}"
            )
        return self

    @model_validator(mode="after")
    def _mask_classes_go_with_masks(self) -> Data:
        if self.mask_classes and self.name != "mask_folder":
            raise ValueError(
                f"mask_classes is given with name: {self.name}; only name: mask_folder takes it: "
                "the names of the values 0, 1, 2 ... of its masks"
            )
        return self
