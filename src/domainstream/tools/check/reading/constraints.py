"""Reads what values must satisfy: by msgspec's `Meta`, pydantic's `Field`, annotated types, and attrs' validators."""

import ast
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Final

from domainstream.tools.check.reading.literals import plain_of
from domainstream.tools.check.reading.symbols import Module, Symbols

Limits = dict[str, bool | int | float | str]

_BY_KEYWORD: Final = {
    name: name
    for name in ("ge", "gt", "le", "lt", "multiple_of", "min_length", "max_length", "pattern", "tz", "max_digits")
} | {"decimal_places": "decimal_places", "regex": "pattern", "min_items": "min_length", "max_items": "max_length"}
"""The keywords that constrain, in all libraries, with one name for each of them."""

_BY_POSITION: Final = {
    "Ge": ("ge",),
    "Gt": ("gt",),
    "Le": ("le",),
    "Lt": ("lt",),
    "MultipleOf": ("multiple_of",),
    "Len": ("min_length", "max_length"),
    "MinLen": ("min_length",),
    "MaxLen": ("max_length",),
    "ge": ("ge",),
    "gt": ("gt",),
    "le": ("le",),
    "lt": ("lt",),
    "matches_re": ("pattern",),
    "min_len": ("min_length",),
    "max_len": ("max_length",),
    "in_": ("in",),
}
"""What the positional arguments of annotated types and attrs' validators are."""

_BY_NAME: Final = {"Meta", "Field", "StringConstraints", "Interval"}
_CONSTRAINED: Final[Mapping[str, str]] = {
    "conint": "int",
    "confloat": "float",
    "constr": "str",
    "conbytes": "bytes",
    "condecimal": "Decimal",
    "condate": "date",
    "conlist": "list",
    "conset": "set",
    "confrozenset": "frozenset",
}
NAMED: Final[Mapping[str, tuple[str, Limits]]] = {
    f"pydantic.{name}{kind}": (type_name, {limit: 0})
    for kind, type_name in (("Int", "int"), ("Float", "float"))
    for name, limit in (("Positive", "gt"), ("NonNegative", "ge"), ("Negative", "lt"), ("NonPositive", "le"))
}
"""The types that are names for a type with limits, by symbol."""


def limits_of(call: ast.expr | None, module: Module, symbols: Symbols) -> Limits:
    """Return what a piece of metadata, such as `Meta(ge=1)`, demands of a value."""
    if not isinstance(call, ast.Call):
        return {}
    name = symbols.name_of(call.func, module)
    if name not in _BY_NAME and name not in _BY_POSITION and name not in _CONSTRAINED:
        return {}
    given = [*zip(_BY_POSITION.get(name, ()), call.args, strict=False)]
    given += [(_BY_KEYWORD[word.arg], word.value) for word in call.keywords if word.arg in _BY_KEYWORD]
    return {
        key: plain_of(value, module, symbols)
        for key, value in given
        if not (isinstance(value, ast.Constant) and value.value is None)
    }


def validators_of(value: ast.expr | None, module: Module, symbols: Symbols) -> Iterator[Limits]:
    """Yield what the validators of `attrs.field(validator=...)` demand, those within `and_` and `optional` included."""
    left = [word.value for word in value.keywords if word.arg == "validator"] if isinstance(value, ast.Call) else []
    while left:
        validator = left.pop(0)
        if isinstance(validator, ast.List | ast.Tuple):
            left += validator.elts
        elif isinstance(validator, ast.Call):
            nests = symbols.name_of(validator.func, module) in {"and_", "optional"}
            left += validator.args if nests else []
            yield limits_of(validator, module, symbols)


def constrained(call: ast.Call, module: Module, symbols: Symbols) -> tuple[str, ast.expr | None, Limits] | None:
    """Return the type, the type of its items, and the limits of pydantic's `conint(ge=1)`; None for another call."""
    type_name = _CONSTRAINED.get(symbols.name_of(call.func, module))
    if type_name is None:
        return None
    return type_name, call.args[0] if call.args else None, limits_of(call, module, symbols)


def add_limits(constraints: MutableMapping[str, Limits], place: str, limits: Limits, type_name: str) -> None:
    """Add limits to those of a place; what two spellings say alike is written in one."""
    normal = dict(limits)
    for strict, inclusive, step in (("gt", "ge", 1), ("lt", "le", -1)):
        bound = normal.get(strict)
        if type_name == "int" and isinstance(bound, int):
            del normal[strict]
            normal[inclusive] = bound + step
    if normal.get("min_length") == 0:
        del normal["min_length"]
    if normal:
        constraints[place] = {**constraints.get(place, {}), **normal}
