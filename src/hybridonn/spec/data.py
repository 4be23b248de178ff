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
Size = Annotated[
    tuple[Count, Count],
    Strict(False),
    BeforeValidator(_to_pair, json_schema_input_type=Count | tuple[Count, Count]),
]


class Data(Section):
    """The images: a named set, or a folder in a standard layout."""

    name: Annotated[str, NameOf(DATA_SETS)] = "digits"
    """A named data set, or the layout of a folder of your own. `hybridonn list datasets` prints
    them.
    """
    folder: Location | None = None  # of a layout; of named sets: where they lie
    """Folder of the images. null: the folder of a named set in the data root. A layout
    (image_folder, mask_folder, box_csv, coco, voc, idx, medmnist) needs one.
    """
    variant: str | None = None
    """Which set of a folder that holds several, such as `letters` of EMNIST. null: the only one."""
    transpose: bool = False
    """Whether the images are stored transposed, as those of EMNIST are."""
    colour: Literal["auto", "rgb", "grey"] = "auto"
    """Channels of the images. auto: as stored, the same for all images."""
    size_pixels: Size | None = None
    """Size to which images are resized: one number for a square, or [height, width]. null: as
    stored.
    """
    resize: Literal["crop", "stretch", "pad"] = "crop"
    """What is done where the shape differs: crop the image, stretch it, or pad it with black."""
    bit_depth: Annotated[int, Field(ge=8, le=16)] | None = None
    """Bits a value of 16-bit files. null: found from the files."""
    mask_classes: Annotated[Several[str], Field(min_length=2, max_length=256)] | None = None
    """Names of the values 0, 1, 2 ... in the masks of a mask_folder. null: two
    classes, background and object.
    """
    box_classes: Annotated[Several[str], Field(min_length=1, max_length=256)] | None = None
    """Names of the classes of boxes in voc, coco and box_csv, in order. null: all that the files
    of the training part name, sorted.
    """
    skip_bad: bool = False
    """Whether damaged files are left out and counted. false: they are refused."""
    train_images: Count | None = None
    """Number of images that the student is trained on; the teacher sees all. null: all."""
    validation_fraction: Fraction = 0.1
    """Share of the images outside of the test part that is kept for validation."""
    test_fraction: Fraction = 0.2
    """Share of all images that is kept for testing, where the set has no test part of its own."""
    split_seed: Seed = 0
    """Seed of the split into training, validation and test images."""

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

    @model_validator(mode="after")
    def _box_classes_go_with_boxes(self) -> Data:
        takers = [name for name, named in DATA_SETS.items() if "box_classes" in named.takes]
        if self.box_classes and self.name not in takers:
            raise ValueError(
                f"box_classes is given with name: {self.name}; only name: "
                f"{', '.join(takers)} take it: the names of the classes of boxes, in order"
            )
        return self


def _list_sets(folder: str) -> list[str]:
    return [name for name, named in DATA_SETS.items() if named.folder == folder]
