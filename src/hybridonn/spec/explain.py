"""Says in one sentence a line what is wrong with a spec, and how to mend it."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from hybridonn.spec.descriptions import describe_keys

# What pydantic calls by the names of Python's types, in the words of YAML.
ALLOWED = {
    "int_type": "a whole number, without quotes, decimal point or exponent",
    "float_type": "a number, without quotes",
    "bool_type": "true or false",
    "string_type": "a text, in quotes",
    "tuple_type": "a list, such as [1, 2]",
    "dict_type": "a mapping of keys to values",
    "model_type": "a mapping of keys to values",
    "path_type": "a path",
    "string_pattern_mismatch": "letters, digits, -, _ and full stops, a letter or digit first",
}
# What pydantic calls the bounds of numbers: where it keeps the bound, and how it is said.
BOUNDS = {
    "greater_than": ("gt", "a number above {}"),
    "greater_than_equal": ("ge", "{} or more"),
    "less_than": ("lt", "a number below {}"),
    "less_than_equal": ("le", "{} or less"),
}


def explain(error: ValidationError, root: type[BaseModel], where: str) -> str:
    """A line for each fault: the key, what was found, what is allowed, the nearest key.

    Args:
        error: What pydantic found.
        root: The model that was validated: the source of the known keys.
        where: The file that the tree came from.
    """
    faults = [_explain_one(dict(fault), root) for fault in _merge_unions(error)]
    head = f"{where}: " if len(faults) == 1 else f"{where} has {len(faults)} faults:\n  "
    return head + "\n  ".join(faults)


def _merge_unions(error: ValidationError) -> list[Any]:
    # A value that fits no member of a union is reported once a member: say all in one.
    faults: dict[tuple[Any, ...], Any] = {}
    for fault in map(_in_words, error.errors()):
        key = _drop_union_tags(fault)
        if key in faults:
            also = fault["msg"].removeprefix("Input should be ")
            also = also.replace(ALLOWED["tuple_type"], "a list of names")
            faults[key]["msg"] += f", or {also}"
        else:
            faults[key] = {**fault, "loc": key}
    return list(faults.values())


def _drop_union_tags(fault: dict[str, Any]) -> tuple[Any, ...]:
    # An unknown key may be called like one of pydantic's tags, but is none.
    end = len(fault["loc"]) - (fault["type"] == "extra_forbidden")
    kept = (part for part in fault["loc"][:end] if not _is_union_tag(part))
    return (*kept, *fault["loc"][end:])


def _in_words(fault: Any) -> dict[str, Any]:
    kind = fault["type"]
    if kind in ALLOWED:
        return {**fault, "msg": f"Input should be {ALLOWED[kind]}"}
    if kind in BOUNDS:
        bound = fault["ctx"][BOUNDS[kind][0]]
        return {**fault, "msg": f"Input should be {BOUNDS[kind][1].format(f'{bound:,.15g}')}"}
    if kind in {"too_short", "too_long"}:
        count = fault["ctx"]["min_length" if kind == "too_short" else "max_length"]
        few = "least" if kind == "too_short" else "most"
        return {**fault, "msg": f"Input should be a list of at {few} {count} items"}
    return fault


def _is_union_tag(part: Any) -> bool:
    return isinstance(part, str) and (
        "[" in part
        or part in {"str", "int", "float", "path", "constrained-int", "constrained-float"}
    )


def _explain_one(fault: dict[str, Any], root: type[BaseModel]) -> str:
    key = ".".join(map(str, fault["loc"])) or "the spec"
    if fault["type"] == "extra_forbidden":
        return _explain_unknown_key(fault, root, key)
    if fault["type"] == "missing":
        return _explain_missing_key(fault, root, key)
    message = fault["msg"].removeprefix("Value error, ")
    if fault["type"] == "value_error":
        # What concerns the spec as a whole names its keys itself.
        return f"{key}: {message}" if fault["loc"] else message
    message = message[0].lower() + message[1:].replace("Input", "it").replace(" it ", " ")
    message = message.replace("input should be", "allowed is").replace("it should be", "allowed is")
    return f"{key} is {_show(fault['input'])}: {message}"


def _explain_missing_key(fault: dict[str, Any], root: type[BaseModel], key: str) -> str:
    *parents, last = fault["loc"]
    meaning = describe_keys(_section(root, parents)).get(str(last), "")
    first = meaning.partition(". ")[0].rstrip(".")
    return f"{key} is missing and has no default; state it{first and f': {first}'}"


def _explain_unknown_key(fault: dict[str, Any], root: type[BaseModel], key: str) -> str:
    *parents, last = fault["loc"]
    known = list(_section(root, parents).model_fields)
    nearest = get_close_matches(str(last), known, n=1, cutoff=0.5)
    path = ".".join([*map(str, parents), nearest[0]]) if nearest else None
    cure = f"did you mean {path}?" if path else _other_home(root, str(last))
    return (
        f"{key}: unknown key (its value is {_show(fault['input'])}); {cure} "
        f"Known here: {', '.join(known)}"
    )


def _other_home(root: type[BaseModel], last: str) -> str:
    paths = list(_paths(root))
    by_leaf = {path.rsplit(".", 1)[-1]: path for path in reversed(paths)}
    nearest = get_close_matches(last, list(by_leaf), n=1, cutoff=0.6)
    return (
        f"the nearest known key is {by_leaf[nearest[0]]}." if nearest else "no known key is near."
    )


def _paths(model: type[BaseModel], prefix: str = "") -> Any:
    for name in model.model_fields:
        yield prefix + name
        child = _child(model, name)
        if child is not None:
            yield from _paths(child, f"{prefix}{name}.")


def _section(model: type[BaseModel], parents: list[Any]) -> type[BaseModel]:
    for name in parents:
        model = _child(model, str(name)) or model
    return model


def _child(model: type[BaseModel], name: str) -> type[BaseModel] | None:
    field = model.model_fields.get(name)
    kinds = [] if field is None else [field.annotation, *get_args(field.annotation)]
    return next((k for k in kinds if isinstance(k, type) and issubclass(k, BaseModel)), None)


def _show(value: Any) -> str:
    words = {True: "true", False: "false", None: "null"}
    text = words[value] if value is None or isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
