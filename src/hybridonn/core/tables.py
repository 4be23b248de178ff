"""Tables of what a spec can name: plain data, resolved only when it is used.

A table maps the name in the spec to ``"package.module:attribute"``, the form in which users name
their own code. So the spec knows every allowed name without importing what it stands for.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hybridonn.core.user_code import split_name

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema


def resolve(table: Mapping[str, str], name: str) -> Any:
    """Import what a name of a table stands for.

    Args:
        table: Names, and ``"package.module:attribute"`` of each.
        name: One of the names; the spec has checked it.

    Raises:
        KeyError: The table has no such name.
    """
    return import_code(table[name])


def import_code(text: str) -> Any:
    """Import what a text of the house names as ``package.module:attribute``."""
    module, attribute = split_name(text)
    return getattr(importlib.import_module(module), attribute)


@dataclass(frozen=True)
class NameOf:
    """Annotation of a field of a spec whose value is a name of a table.

    ``backend: Annotated[str, NameOf(BACKENDS)]`` allows the table's names as a Literal would, in
    errors and in the JSON schema.

    Attributes:
        table: Anything that lists the allowed names.
        own_code: Whether the user's own ``package.module:callable`` is allowed as well.
    """

    table: Mapping[str, Any]
    own_code: bool = False

    def __get_pydantic_core_schema__(self, _: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """The schema of a Literal of the names, or of a text that is checked."""
        from pydantic_core import core_schema

        if not self.own_code:
            return core_schema.literal_schema(list(self.table))
        return core_schema.no_info_after_validator_function(
            self._check, core_schema.str_schema(strict=True)
        )

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        """The JSON schema: the names, and with ``own_code`` texts with a colon, too."""
        if not self.own_code:
            return handler(schema)
        return {"anyOf": [{"enum": list(self.table)}, {"type": "string", "pattern": ":"}]}

    def _check(self, text: str) -> str:
        if text in self.table:
            return text
        if ":" not in text:
            allowed = ", ".join(self.table)
            raise ValueError(
                f"{text!r} is not one of {allowed}; your own code is written "
                "package.module:callable"
            )
        split_name(text)
        return text
