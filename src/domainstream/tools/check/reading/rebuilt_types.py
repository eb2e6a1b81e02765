"""Rebuilds the type of a field from its annotation, as far as that is plain, and lets msgspec judge it.

Classes of the system are replaced by twins of the same kind without fields, so that no code of theirs runs.
"""

import ast
import dataclasses
import enum
from collections import abc
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final, Literal, NamedTuple, TypedDict, Union
from uuid import UUID

import msgspec

from domainstream.tools.check.reading.symbols import Module, Symbols, assignments_of, parse_quoted

_KNOWN: Final[dict[str, Any]] = {
    **{kind.__name__: kind for kind in (str, int, float, bool, bytes, bytearray, list, dict, set, frozenset, tuple)},
    **{f"datetime.{kind.__name__}": kind for kind in (datetime, date, time, timedelta)},
    **{f"typing.{kind.__name__}": kind for kind in (list, dict, set, frozenset, tuple)},
    **{f"collections.abc.{name}": getattr(abc, name) for name in ("Sequence", "Collection", "Mapping", "Set")},
    **{f"typing.{name}": getattr(abc, name) for name in ("Sequence", "Collection", "Mapping")},
    **{f"typing.{kind.__name__.title()}": kind for kind in (list, dict, set, tuple)},
    "complex": complex,
    "decimal.Decimal": Decimal,
    "msgspec.Raw": msgspec.Raw,
    "msgspec.UnsetType": msgspec.UnsetType,
    "object": Any,
    "typing.Any": Any,
    "typing.FrozenSet": frozenset,
    "uuid.UUID": UUID,
}
_WRAPPERS: Final = frozenset({"Annotated", "NotRequired", "Required", "ReadOnly", "Final"})
_RECORD_DECORATORS: Final = frozenset({"dataclass", "define", "frozen", "mutable", "s", "attrs", "dataclass_transform"})

_MOST_ALIASES: Final = 8
"""A type whose aliases lead to more aliases than this can double with each of them."""


class _UnclearError(Exception):
    """An annotation is not plain, so it is not judged."""


def type_problem(annotation: ast.expr, module: Module, symbols: Symbols) -> str | None:
    """Return why msgspec refuses a type; None where it takes it, or where the type is not plain."""
    try:
        msgspec.json.Decoder(_type(annotation, module, symbols, frozenset()))
    except TypeError as error:
        words = str(error).partition(" - type ")[0].replace("`", "")
        return f"{words[:1].lower()}{words[1:]}"
    except (_UnclearError, RecursionError):
        pass
    return None


def lineage(symbol: str, symbols: Symbols) -> list[tuple[Module, ast.ClassDef]]:
    """Return a class and those of its bases that the system defines."""
    found = symbols.class_of(symbol)
    classes = [] if found is None else [found]
    for module, node in classes:
        parents = (symbols.class_of(symbols.of(origin(base), module) or "") for base in node.bases)
        classes += [parent for parent in parents if parent is not None and parent not in classes]
    return classes


def origin(node: ast.expr) -> ast.expr:
    """Return what a generic type is made from; another expression as it is."""
    return node.value if isinstance(node, ast.Subscript) else node


def _type(node: ast.expr, module: Module, symbols: Symbols, aliases: frozenset[str]) -> Any:
    """Return the type that an annotation names; raise `_UnclearError` where it is not plain."""
    match node:
        case ast.Constant(value=None):
            return None
        case ast.Constant(value=str(text)) if (parsed := parse_quoted(text)) is not None:
            return _type(parsed, module, symbols, aliases)
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return Union[tuple(_type(part, module, symbols, aliases) for part in (left, right))]  # noqa: UP007 - computed
        case ast.Subscript():
            return _subscript(node, module, symbols, aliases)
        case ast.Name() | ast.Attribute():
            return _named(symbols.of(node, module) or "", symbols, aliases)
        case _:
            raise _UnclearError


def _subscript(node: ast.Subscript, module: Module, symbols: Symbols, aliases: frozenset[str]) -> Any:
    parts = list(node.slice.elts) if isinstance(node.slice, ast.Tuple) else [node.slice]
    name = symbols.name_of(node.value, module)
    if name == "Literal":
        return Literal[tuple(map(_literal, parts))]
    if name in _WRAPPERS:
        return _type(parts[0], module, symbols, aliases)
    ends = [part for part in parts if isinstance(part, ast.Constant) and part.value is ...]
    types = [... if part in ends else _type(part, module, symbols, aliases) for part in parts]
    if name in {"Union", "Optional"}:
        types += [None] * (name == "Optional")
        return Union[tuple(types)]  # noqa: UP007 - computed
    generic = _type(node.value, module, symbols, aliases)
    # What a generic class holds says nothing about how it is told apart from others.
    return generic[tuple(types)] if generic in _KNOWN.values() else generic


def _literal(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError):
        raise _UnclearError from None


def _named(symbol: str, symbols: Symbols, aliases: frozenset[str]) -> Any:
    if symbol in _KNOWN:
        return _KNOWN[symbol]
    if (found := symbols.class_of(symbol)) is not None:
        return _twin(symbol, *found, symbols)
    alias = symbols.value_of(symbol)
    if alias is None or symbol in aliases or len(aliases) > _MOST_ALIASES:
        raise _UnclearError
    module, value = alias
    # The second argument of NewType is the type behind the name.
    behind = value.args[1] if isinstance(value, ast.Call) and len(value.args) > 1 else value
    return _type(behind, module, symbols, aliases | {symbol})


def _twin(symbol: str, module: Module, node: ast.ClassDef, symbols: Symbols) -> Any:
    """Return a class that msgspec treats as the system's own, as far as its kind goes."""
    bases = {symbols.name_of(origin(base), one) for one, own in lineage(symbol, symbols) for base in own.bases}
    if any(base.endswith("Enum") for base in bases):
        values = {name: _member(value, is_text="StrEnum" in bases) for name, value, _ in assignments_of(node.body)}
        if not values or bases - {"Enum", "StrEnum", "IntEnum"}:
            raise _UnclearError
        return enum.Enum(node.name, values)
    if "BaseModel" in bases:
        return type(node.name, (), {})
    if "Struct" in bases or "EventPayload" in bases:
        options = {
            given.arg: _literal(given.value)
            for given in node.keywords
            if given.arg in {"tag", "tag_field", "array_like"}
        }
        return msgspec.defstruct(node.name, [], **options)
    if "TypedDict" in bases:
        return TypedDict(node.name, {})  # type: ignore[operator]
    if "NamedTuple" in bases:
        return NamedTuple(node.name, [])
    decorators = {
        symbols.name_of(each.func if isinstance(each, ast.Call) else each, module) for each in node.decorator_list
    }
    if decorators & _RECORD_DECORATORS:
        return dataclasses.make_dataclass(node.name, [])
    raise _UnclearError


def _member(value: ast.expr, *, is_text: bool) -> Any:
    if isinstance(value, ast.Call) and ast.unparse(value.func).endswith("auto"):
        return f"auto {id(value)}" if is_text else id(value)
    return _literal(value)
