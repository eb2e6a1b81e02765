"""Reads the fields that no message can carry: of an event beside its payload, and of types that cannot be written.

msgspec itself judges the types: an annotation is rebuilt from the syntax tree as far as it is plain, with twins of the
system's classes, and a decoder is made for it, as a producer or consumer does at start-up.
"""

import ast
import dataclasses
import enum
from collections import abc
from collections.abc import Iterable, Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final, Literal, NamedTuple, TypedDict, Union
from uuid import UUID

import msgspec

from domainstream.event import BaseEvent
from domainstream.tools.check.model.domain import Event, Uncarried
from domainstream.tools.check.reading.sources import Source, Sources
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
_PLAIN: Final = frozenset({"str", "int", "float", "bool"})
"""What most fields are, in arrays or beside None as well, and what needs no closer look."""

_PLAIN_ARRAYS: Final = frozenset({"list", "tuple"})

_WRAPPERS: Final = frozenset({"Annotated", "NotRequired", "Required", "ReadOnly", "Final"})
_RECORDS: Final = frozenset({"EventPayload", "Struct", "TypedDict", "NamedTuple", "Generic"})
_RECORD_DECORATORS: Final = frozenset({"dataclass", "define", "frozen", "mutable", "s", "attrs", "dataclass_transform"})

_MOST_ALIASES: Final = 8
"""A type whose aliases lead to more aliases than this can double with each of them."""


class _UnclearError(Exception):
    """An annotation is not plain, so it is not judged."""


class _Declared(NamedTuple):
    """A field, where its class declares it."""

    module: Module
    owner: ast.ClassDef
    statement: ast.AnnAssign

    @property
    def name(self) -> str:
        """The field's name with that of its class."""
        return f"{self.owner.name}.{ast.unparse(self.statement.target)}"


def read_lost_fields(events: Iterable[Event], symbols: Symbols) -> Iterator[Uncarried]:
    """Yield the fields of event classes, and of their bases, that the envelope does not have."""
    seen: set[ast.AnnAssign] = set()
    for event in events:
        for declared in _declared(event.symbol, symbols):
            name = ast.unparse(declared.statement.target)
            if name not in BaseEvent.__struct_fields__ and declared.statement not in seen:
                seen.add(declared.statement)
                problem = f"messages do not carry {declared.name}, so handlers would not see its value"
                fix = f"move it to the payload's class, or write {name}: ClassVar if it is the same for all events"
                yield Uncarried("field", problem, fix, declared.module.source.location(declared.statement))


def read_unwritable_types(payloads: Iterable[str], symbols: Symbols, sources: Sources) -> Iterator[Uncarried]:
    """Yield the fields of payloads, and of the classes within them, whose types cannot be written or read."""
    seen: set[ast.AnnAssign] = set()
    for_type_checkers: dict[str, set[str]] = {}
    problem: str | None
    for payload in payloads:
        left = [each for each in _declared(payload, symbols) if not _is_plain(each.statement.annotation)]
        judged = bool(left) and _is_judged(payload, symbols)
        for declared in left:
            if declared.statement in seen:
                continue
            seen.add(declared.statement)
            annotation, module = declared.statement.annotation, declared.module
            location = module.source.location(declared.statement)
            if module.source.path not in for_type_checkers:
                for_type_checkers[module.source.path] = _for_type_checkers(module.source, sources)
            known = for_type_checkers[module.source.path]
            hidden = known and _names_in(annotation) & known
            if hidden:
                problem = f"{declared.name} names {min(hidden)}, which only type checkers import"
                yield Uncarried("type", problem, "import it outside of `if TYPE_CHECKING:`", location)
            elif judged and (problem := _problem(annotation, module, symbols)):
                yield Uncarried("type", f"{declared.name} cannot be sent: {problem}", "use another type", location)


def _is_plain(annotation: ast.expr) -> bool:
    """Return whether a type is one that needs no closer look."""
    match annotation:
        case ast.Name(id=name):
            return name in _PLAIN
        case ast.Constant(value=None):
            return True
        case ast.BinOp(left=ast.Name(id=name), op=ast.BitOr(), right=ast.Constant(value=None)):
            return name in _PLAIN
        case ast.Subscript(value=ast.Name(id=outer), slice=ast.Name(id=name)):
            return outer in _PLAIN_ARRAYS and name in _PLAIN
        case ast.Subscript(value=ast.Name(id="tuple"), slice=ast.Tuple(elts=[ast.Name(id=name), ast.Constant()])):
            return name in _PLAIN
        case _:
            return False


def _lineage(symbol: str, symbols: Symbols) -> list[tuple[Module, ast.ClassDef]]:
    """Return a class and those of its bases that the system defines."""
    found = symbols.class_of(symbol)
    lineage = [] if found is None else [found]
    for module, node in lineage:
        parents = (symbols.class_of(symbols.of(_origin(base), module) or "") for base in node.bases)
        lineage += [parent for parent in parents if parent is not None and parent not in lineage]
    return lineage


def _origin(node: ast.expr) -> ast.expr:
    return node.value if isinstance(node, ast.Subscript) else node


def _declared(symbol: str, symbols: Symbols) -> Iterator[_Declared]:
    for module, node in _lineage(symbol, symbols):
        for statement in node.body:
            if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                quoted = statement.annotation
                annotation = (
                    parse_quoted(quoted.value)
                    if isinstance(quoted, ast.Constant) and isinstance(quoted.value, str)
                    else quoted
                )
                if annotation is not None and symbols.name_of(_origin(annotation), module) != "ClassVar":
                    yield _Declared(module, node, statement)


def _is_judged(symbol: str, symbols: Symbols) -> bool:
    """Return whether msgspec reads a class's fields: pydantic has rules of its own, and an enum has no fields."""
    for module, node in _lineage(symbol, symbols):
        for base in map(_origin, node.bases):
            known = symbols.class_of(symbols.of(base, module) or "") is not None
            if not known and symbols.name_of(base, module) not in _RECORDS:
                return False
        for decorator in node.decorator_list:
            called = symbols.of(decorator.func if isinstance(decorator, ast.Call) else decorator, module) or ""
            if called.startswith("pydantic"):
                return False
    return True


def _names_in(annotation: ast.expr) -> set[str]:
    names: set[str] = set()
    left: list[ast.AST] = [annotation]
    while left:
        node = left.pop()
        if isinstance(node, ast.Name):
            names.add(node.id)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            left += [parsed] if (parsed := parse_quoted(node.value)) is not None else []
        elif not (isinstance(node, ast.Subscript) and ast.unparse(node.value).endswith("Literal")):
            left += ast.iter_child_nodes(node)
    return names


def _for_type_checkers(source: Source, sources: Sources) -> set[str]:
    """Return the names of a file that exist for type checkers only."""
    tree = sources.tree(source) if b"TYPE_CHECKING" in source.text else None
    hidden: set[str] = set()
    bound: set[str] = set()
    for statement in tree.body if tree else ():
        is_hidden = isinstance(statement, ast.If) and ast.unparse(statement.test).endswith("TYPE_CHECKING")
        if isinstance(statement, ast.If) and is_hidden and not isinstance(statement.test, ast.UnaryOp):
            hidden.update(_bound(statement.body))
            bound.update(_bound(statement.orelse))
        else:
            bound.update(_bound([statement]))
    return hidden - bound


def _bound(body: Iterable[ast.AST]) -> Iterator[str]:
    for node in (inner for statement in body for inner in ast.walk(statement)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from ((alias.asname or alias.name).partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


def _problem(annotation: ast.expr, module: Module, symbols: Symbols) -> str | None:
    """Return why msgspec refuses a type; None where it takes it, or where the type is not plain."""
    try:
        msgspec.json.Decoder(_type(annotation, module, symbols, frozenset()))
    except TypeError as error:
        words = str(error).partition(" - type ")[0].replace("`", "")
        return f"{words[:1].lower()}{words[1:]}"
    except (_UnclearError, RecursionError):
        pass
    return None


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
    origin = _type(node.value, module, symbols, aliases)
    # What a generic class holds says nothing about how it is told apart from others.
    return origin[tuple(types)] if origin in _KNOWN.values() else origin


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
    bases = {symbols.name_of(_origin(base), one) for one, own in _lineage(symbol, symbols) for base in own.bases}
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
