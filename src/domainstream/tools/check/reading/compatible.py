"""Compares types of readers with types on the wire: a reader's type must take every value that the owner's can have.

It may be wider: a text where the owner has a date, a number with a fraction where the owner has none, or more members.
"""

import ast
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

_ANYTHING: Final = frozenset({"Any", "object", "Raw"})
_TEXTS: Final = frozenset({"str", "datetime", "date", "time", "timedelta", "UUID", "Decimal", "bytes", "bytearray"})
"""What is a string in JSON."""

ARRAYS: Final = frozenset(
    {"list", "set", "frozenset", "tuple", "Sequence", "MutableSequence", "Collection", "Iterable", "Set"}
)
"""What is an array in JSON."""

OBJECTS: Final = frozenset({"dict", "Mapping", "MutableMapping"})
"""What is an object in JSON, without fields of its own."""

Members = Sequence[object] | None
"""The values of an enum; None for a class with fields."""


class Accepted(NamedTuple):
    """Whether a reader's type takes what is on the wire."""

    fits: bool
    """Whether it does, but for the fields of classes."""

    pairs: tuple[tuple[str, str], ...] = ()
    """The reader's and the owner's classes whose fields have to be compared as well."""

    why: str = ""
    """What it does not take, where that is less than the whole type."""


_NO: Final = Accepted(fits=False)
_YES: Final = Accepted(fits=True)


class Types:
    """Knows the classes and enums that the types of both sides name."""

    def __init__(self, own: Mapping[str, Members], wire: Mapping[str, Members]) -> None:
        self._own = {name: None if members is None else values_of_members(members) for name, members in own.items()}
        self._wire = {name: None if members is None else values_of_members(members) for name, members in wire.items()}

    def accepts(self, own: ast.expr, wire: ast.expr) -> Accepted:
        """Return whether a reader's type takes every value of a type on the wire."""
        if _name(own) in _ANYTHING:
            return _YES
        found: list[Accepted] = []
        for part in parts_of_union(wire):
            answers = [self._one(option, part) for option in parts_of_union(own)]
            found.append(
                next((answer for answer in answers if answer.fits), max(answers, key=lambda one: len(one.why)))
            )
        refused = [answer for answer in found if not answer.fits]
        return refused[0] if refused else Accepted(fits=True, pairs=tuple(pair for one in found for pair in one.pairs))

    def _one(self, own: ast.expr, wire: ast.expr) -> Accepted:
        values, takes = _literals(wire, self._wire), _literals(own, self._own)
        if values is not None:
            return _takes_values(own, values, takes)
        mine, theirs = _name(own), _name(wire)
        if isinstance(wire, ast.Subscript) or isinstance(own, ast.Subscript):
            return self._container(own, wire)
        if theirs in self._wire:
            if mine in self._own and takes is None:
                return Accepted(fits=True, pairs=((mine, theirs),))
            return Accepted(fits=mine in OBJECTS)
        if mine in self._own:
            return _NO
        same = mine == theirs or (mine in ARRAYS and theirs in ARRAYS) or (mine in OBJECTS and theirs in OBJECTS)
        return Accepted(same or (mine == "str" and theirs in _TEXTS) or (mine == "float" and theirs == "int"))

    def _container(self, own: ast.expr, wire: ast.expr) -> Accepted:
        mine, theirs = _name(_origin(own)), _name(_origin(wire))
        for kinds in (ARRAYS, OBJECTS):
            if mine in kinds and theirs in kinds:
                if not isinstance(own, ast.Subscript):
                    return _YES
                pairs = _pairs(own, wire, mine) if isinstance(wire, ast.Subscript) else None
                if pairs is None:
                    return _NO
                answers = [self.accepts(*pair) for pair in pairs]
                refused = [answer for answer in answers if not answer.fits]
                inner = tuple(pair for answer in answers for pair in answer.pairs)
                return refused[0] if refused else Accepted(fits=True, pairs=inner)
        if mine in OBJECTS and theirs in self._wire:
            return Accepted(fits=_takes_anything(own))
        return Accepted(ast.unparse(own) == ast.unparse(wire))


def values_of_members(members: Sequence[object]) -> frozenset[object]:
    """Return the values of an enum's members."""
    return frozenset(members)


def _origin(node: ast.expr) -> ast.expr:
    return node.value if isinstance(node, ast.Subscript) else node


def _name(node: ast.expr) -> str:
    return ast.unparse(node)


def parts_of_union(node: ast.expr) -> list[ast.expr]:
    """Return the members of a union; a type that is none is its own only member."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return [*parts_of_union(node.left), *parts_of_union(node.right)]
    return [node]


def _arguments(node: ast.Subscript) -> list[ast.expr]:
    return list(node.slice.elts) if isinstance(node.slice, ast.Tuple) else [node.slice]


def _literals(node: ast.expr, enums: Mapping[str, frozenset[object] | None]) -> frozenset[object] | None:
    """Return the values of an enum or a `Literal`; None for any other type."""
    if isinstance(node, ast.Subscript) and _name(node.value) == "Literal":
        return frozenset(value.value for value in _arguments(node) if isinstance(value, ast.Constant))
    return enums.get(_name(node))


def _takes_values(own: ast.expr, values: frozenset[object], takes: frozenset[object] | None) -> Accepted:
    if takes is not None:
        unknown = sorted(map(str, values - takes))
        return Accepted(not unknown, why=f": it does not know {', '.join(unknown)}" if unknown else "")
    kind = {"str": str, "int": int, "float": int}.get(_name(own))
    return Accepted(kind is not None and all(isinstance(value, kind) for value in values))


def _takes_anything(own: ast.expr) -> bool:
    return isinstance(own, ast.Subscript) and _name(_arguments(own)[-1]) in _ANYTHING


def _pairs(own: ast.Subscript, wire: ast.Subscript, kind: str) -> list[tuple[ast.expr, ast.expr]] | None:
    """Return which parts of two containers have to fit; None where their lengths differ."""
    mine, theirs = _arguments(own), _arguments(wire)
    if kind in OBJECTS:
        return list(zip(mine, theirs, strict=False))
    own_fixed, wire_fixed = _is_fixed(own), _is_fixed(wire)
    if own_fixed:
        return list(zip(mine, theirs, strict=True)) if wire_fixed and len(mine) == len(theirs) else None
    return [(mine[0], part) for part in _items(theirs)]


def _items(arguments: list[ast.expr]) -> Iterator[ast.expr]:
    return (part for part in arguments if not (isinstance(part, ast.Constant) and part.value is ...))


def _is_fixed(node: ast.Subscript) -> bool:
    return _name(node.value) == "tuple" and len(list(_items(_arguments(node)))) == len(_arguments(node))
