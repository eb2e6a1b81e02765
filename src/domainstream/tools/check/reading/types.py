"""Reads annotations: types in one normal form, and what values of them must satisfy.

Another spelling of the same type does not count as a change. What is `Annotated` with limits has the same type as
without them; the limits are kept apart, by where in the type they are.
"""

import ast
from typing import Final

from domainstream.tools.check.reading.constraints import NAMED, Limits, add_limits, constrained, limits_of
from domainstream.tools.check.reading.sensitive import is_sensitive
from domainstream.tools.check.reading.symbols import Module, Symbols, last_part, parse_quoted

_WRAPPERS: Final = frozenset({"ClassVar", "InitVar", "NotRequired", "Required", "ReadOnly", "Final", "Annotated"})
_OLD_NAMES: Final = {"List": "list", "Tuple": "tuple", "Dict": "dict", "Set": "set", "FrozenSet": "frozenset"}
_ARRAYS: Final = frozenset({"list", "set", "frozenset", "Sequence", "MutableSequence", "Collection"})
_OBJECTS: Final = frozenset({"dict", "Mapping", "MutableMapping"})
_ABSENT: Final = "UnsetType"
"""The type of a field that is not written at all."""

_MOST_ALIASES: Final = 200
"""A type that leads to more aliases than this doubles with each of them."""


class TypeNormalizer:
    """Spells one annotation."""

    def __init__(self, module: Module, symbols: Symbols) -> None:
        self.uses: list[str] = []
        """The symbols of the classes that it names and the system defines."""
        self.naive = False
        """Whether it takes datetimes without a time zone."""
        self.wrapper = ""
        """What the whole annotation is wrapped in, such as "ClassVar"; empty for nothing."""
        self.metadata: list[ast.Call] = []
        """The calls that the whole annotation is `Annotated` with."""
        self.constraints: dict[str, Limits] = {}
        """What values must satisfy, by where in the type they are."""
        self.sensitive = False
        """Whether any part of the type is marked sensitive."""
        self._module = module
        self._symbols = symbols
        self._aliases: set[str] = set()
        self._undone = 0
        self._place = ""

    def of(self, node: ast.expr) -> str:
        """Return the one spelling of a type."""
        outermost = node.value if isinstance(node, ast.Subscript) else node
        name = self._symbols.name_of(outermost, self._module)
        self.wrapper = name if name in _WRAPPERS else ""
        return self._spell(node)

    def _spell(self, node: ast.expr) -> str:
        if isinstance(node, ast.Name | ast.Attribute):
            return self._named(node)
        if isinstance(node, ast.Subscript):
            return self._subscript(node)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
            return self._union([node.left, node.right])
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            parsed = parse_quoted(node.value)
            return node.value if parsed is None else self._spell(parsed)
        if isinstance(node, ast.Call):
            return self._called(node)
        return "..." if isinstance(node, ast.Constant) and node.value is ... else ast.unparse(node)

    def _called(self, node: ast.Call) -> str:
        limited = constrained(node, self._module, self._symbols)
        if limited is None:
            return ast.unparse(node)
        type_name, item, limits = limited
        add_limits(self.constraints, self._place, limits, type_name)
        return type_name if item is None else f"{type_name}[{self._at('[]', item)}]"

    def _named(self, node: ast.Name | ast.Attribute) -> str:
        symbol = self._symbols.of(node, self._module) or ast.unparse(node)
        name = last_part(symbol)
        if self._symbols.class_of(symbol) is not None:
            self.uses.append(symbol)
            return name
        if symbol in NAMED:
            type_name, limits = NAMED[symbol]
            add_limits(self.constraints, self._place, limits, type_name)
            return type_name
        alias = self._symbols.value_of(symbol)
        if alias is None or symbol in self._aliases or self._undone > _MOST_ALIASES:
            self.naive = self.naive or symbol == "datetime.datetime"
            return _OLD_NAMES.get(name, name)
        self._aliases.add(symbol)
        self._undone += 1
        outside = self._module
        self._module, value = alias
        try:
            # The second argument of NewType is the type behind the name.
            if isinstance(value, ast.Call) and self._symbols.name_of(value.func, self._module) == "NewType":
                return self._spell(value.args[-1])
            return self._spell(value)
        finally:
            self._aliases.discard(symbol)
            self._module = outside

    def _subscript(self, node: ast.Subscript) -> str:
        name = self._symbols.name_of(node.value, self._module)
        arguments = list(node.slice.elts) if isinstance(node.slice, ast.Tuple) else [node.slice]
        if name in _WRAPPERS and arguments:
            return self._annotated(arguments)
        if name == "Union":
            return self._union(arguments)
        if name == "Optional":
            return self._union([*arguments, ast.Constant(None)])
        if name == "Literal":
            return f"Literal[{', '.join(sorted(map(ast.unparse, arguments)))}]"
        outer = self._spell(node.value)
        places = _places(outer, len(arguments), endless=ast.unparse(arguments[-1]) == "...")
        return f"{outer}[{', '.join(map(self._at, places, arguments))}]"

    def _annotated(self, arguments: list[ast.expr]) -> str:
        before = self.naive
        spelled = self._spell(arguments[0])
        marks = (is_sensitive(argument, self._module, self._symbols) for argument in arguments[1:])
        self.sensitive = self.sensitive or any(marks)
        calls = [argument for argument in arguments[1:] if isinstance(argument, ast.Call)]
        if not self._place:
            self.metadata += calls
        for call in calls:
            limits = limits_of(call, self._module, self._symbols)
            add_limits(self.constraints, self._place, limits, spelled)
            if limits.get("tz") is True:
                self.naive = before  # Meta(tz=True) demands a time zone
        return spelled

    def _at(self, place: str, node: ast.expr) -> str:
        """Spell what is within a type."""
        outside = self._place
        self._place += place
        try:
            return self._spell(node)
        finally:
            self._place = outside

    def _union(self, parts: list[ast.expr]) -> str:
        spelled = {member for part in parts for member in _split_union(self._spell(part))}
        spelled -= {_ABSENT} if len(spelled) > 1 else set()
        return " | ".join(sorted(spelled, key=lambda member: (member == "None", member)))


def _places(outer: str, count: int, *, endless: bool) -> list[str]:
    """Return where the arguments of a type are within its values."""
    if outer in _OBJECTS and count > 1:
        return ["{key}", "{}"]
    if outer in _ARRAYS or (outer == "tuple" and endless):
        return ["[]"] * count
    return [f"[{position}]" for position in range(count)]


def on_the_wire(spelled: str) -> str:
    """Return a type with one word for all that is an array in JSON, and one for all that is an object."""
    name, bracket, inner = spelled.partition("[")
    members = _split_union(spelled)
    if len(members) > 1:
        return " | ".join(sorted(map(on_the_wire, members), key=lambda member: (member == "None", member)))
    if not bracket or name == "Literal":
        return spelled
    arguments = _split(inner.removesuffix("]"), ", ")
    if name == "tuple" and arguments[-1] == "...":
        return f"list[{on_the_wire(arguments[0])}]"
    name = "list" if name in _ARRAYS else "dict" if name in _OBJECTS else name
    return f"{name}[{', '.join(map(on_the_wire, arguments))}]"


def _split_union(spelled: str) -> list[str]:
    """Undo a union within a union; one inside of brackets stays whole."""
    return _split(spelled, " | ")


def _split(spelled: str, separator: str) -> list[str]:
    parts, depth, start, quote = [], 0, 0, ""
    for position, character in enumerate(spelled):
        if quote or character in "'\"":
            quote = "" if character == quote else quote or character
            continue
        depth += (character in "[(") - (character in "])")
        if not depth and spelled.startswith(separator, position):
            parts.append(spelled[start:position])
            start = position + len(separator)
    return [*parts, spelled[start:]]
