"""What every part of the spec is made of."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    model_validator,
)

from hybridonn.spec.descriptions import describe_keys

Item = TypeVar("Item")

LONGEST_NAME = 255  # bytes of a file's name on ext4, APFS and NTFS


def _refuse_empty(path: Any) -> Any:
    if path == "":  # would be the working directory
        raise ValueError("the path is empty; name a file or a folder, or leave the key out")
    return path


def _refuse_homeless(path: Path) -> Path:
    try:
        path.expanduser()
    except RuntimeError:
        raise ValueError(f"{path} begins with the name of no user; write the path out") from None
    return path


def _refuse_nameless(path: Path) -> Path:
    """Refuse a name that no file system takes: it is not that of a file that is merely missing.

    Raises:
        ValueError: It is too long, or holds a zero character.
    """
    longest = max(path.parts, key=len, default="")
    if len(longest.encode("utf-8", "surrogateescape")) > LONGEST_NAME:
        raise ValueError(
            f"{longest[:40]}... has {len(longest)} characters; the name of a file has at most "
            f"{LONGEST_NAME} bytes"
        )
    if "\0" in str(path):
        raise ValueError("the path holds a zero character; write the path as it is on the disk")
    return path


Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(gt=0, lt=1)]
# A larger number overflows the sizes of arrays, long before any machine holds them.
Count = Annotated[int, Field(ge=1, lt=2**31)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]
# YAML has lists and texts where the tree keeps tuples and paths. All else is strict: a boolean,
# a text and 2.0 are no whole numbers, and ``yes`` is no boolean.
Several = Annotated[tuple[Item, ...], Strict(False)]
Location = Annotated[
    Path,
    Strict(False),
    BeforeValidator(_refuse_empty),
    AfterValidator(_refuse_nameless),
    AfterValidator(_refuse_homeless),
]


class UndeclaredReadError(Exception):
    """A stage reads what it has not declared, so that its fingerprint would not know of it.

    It is a fault of the program, not of the user.
    """


class Section(BaseModel):
    """A part of the spec: frozen, and strict about its keys and the types of its values."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        ser_json_inf_nan="constants",  # else infinite arguments of a teacher become null
    )

    # Keys that name code of the user's own, and its arguments; None: there are none.
    CODE: ClassVar[tuple[str, str] | None] = None
    # Keys that change no artefact of a stage, so that no stage is done anew for them.
    WITHOUT_EFFECT: ClassVar[frozenset[str]] = frozenset()

    @model_validator(mode="before")
    @classmethod
    def _fill_from_defaults(cls, stated: Any) -> Any:
        """Take what a part of a section leaves out from the section's default, not its class's.

        The training of a teacher is 12 epochs by default and that of a student 20; a teacher whose
        learning rate alone is stated still has 12.
        """
        if not isinstance(stated, dict):
            return stated
        filled = dict(stated)
        for key, field in cls.model_fields.items():
            default, given = field.default, stated.get(key)
            if isinstance(default, Section) and isinstance(given, dict):
                own = default.model_dump(include=default.model_fields_set)
                filled[key] = own | given
        return filled

    # Not pydantic's use_attribute_docstrings, which parses the sources at every import: 0.45 s.
    @classmethod
    def __get_pydantic_json_schema__(cls, core: Any, handler: Any) -> Any:
        """Return the JSON schema, in which every key has its docstring as its description."""
        schema = handler(core)
        properties = handler.resolve_ref_schema(schema).get("properties", {})
        for key, meaning in describe_keys(cls).items():
            properties[key].setdefault("description", meaning)
        return schema

    if not TYPE_CHECKING:  # a type checker would take every name for a key

        def __getattr__(self, name: str) -> Any:
            # Only of a section that was narrowed does a key have no value.
            if name in type(self).model_fields:
                raise UndeclaredReadError(
                    f"{type(self).__name__.lower()}.{name} is read by a stage whose inputs do not "
                    "name it; add it to them"
                )
            return super().__getattr__(name)
