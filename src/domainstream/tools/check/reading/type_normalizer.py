"""Writes a type in one normal form, so that another spelling of the same type does not count as a change."""

import ast
from typing import Final

from domainstream.tools.check.reading.symbols import Module, Symbols, last_part

_WRAPPERS: Final = frozenset({"ClassVar", "NotRequired", "Required", "ReadOnly", "Final", "Annotated"})
_OLD_NAMES: Final = {"List": "list", "Tuple": "tuple", "Dict": "dict", "Set": "set", "FrozenSet": "frozenset"}


class TypeNormalizer:
    """Spells one annotation."""

    def __init__(self, module: Module, symbols: Symbols) -> None:
        self.uses: list[str] = []
        """The symbols of the classes that it names and the system defines."""
        self.naive = False
        """Whether it takes datetimes without a time zone."""
        self.wrapper = ""
        """What the whole annotation is wrapped in, such as "ClassVar"; empty for nothing."""
        self._module = module
        self._symbols = symbols
        self._aliases: set[str] = set()

    def of(self, node: ast.expr) -> str:
        """Return the one spelling of a type."""
        name = self._symbols.of(node.value, self._module) if isinstance(node, ast.Subscript) else None
        bare = last_part(f".{name}") if name else last_part(f".{self._symbols.of(node, self._module)}")
        self.wrapper = bare if bare in _WRAPPERS else ""
        return self._spell(node)

    def _spell(self, node: ast.expr) -> str:
        if isinstance(node, ast.Name | ast.Attribute):
            return self._named(node)
        if isinstance(node, ast.Subscript):
            return self._subscript(node)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
            return self._union([node.left, node.right])
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return self._quoted(node.value)
        if isinstance(node, ast.Constant) and node.value is ...:
            return "..."
        return ast.unparse(node)

    def _named(self, node: ast.Name | ast.Attribute) -> str:
        symbol = self._symbols.of(node, self._module) or ast.unparse(node)
        if self._symbols.class_of(symbol) is not None:
            self.uses.append(symbol)
            return last_part(f".{symbol}")
        alias = self._symbols.value_of(symbol)
        if alias is not None and symbol not in self._aliases:
            self._aliases.add(symbol)
            return self._alias(*alias)
        self.naive = self.naive or symbol == "datetime.datetime"
        name = last_part(f".{symbol}")
        return _OLD_NAMES.get(name, name)

    def _alias(self, module: Module, value: ast.expr) -> str:
        outside, self._module = self._module, module
        try:
            # The second argument of NewType is the type behind the name.
            return self._spell(value.args[1] if isinstance(value, ast.Call) and len(value.args) > 1 else value)
        finally:
            self._module = outside

    def _subscript(self, node: ast.Subscript) -> str:
        name = last_part(f".{self._symbols.of(node.value, self._module)}")
        arguments = list(node.slice.elts) if isinstance(node.slice, ast.Tuple) else [node.slice]
        if name in _WRAPPERS and arguments:
            return self._wrapped(arguments)
        if name == "Union":
            return self._union(arguments)
        if name == "Optional":
            return self._union([*arguments, ast.Constant(None)])
        if name == "Literal":
            return f"Literal[{', '.join(sorted(map(ast.unparse, arguments)))}]"
        return f"{self._spell(node.value)}[{', '.join(map(self._spell, arguments))}]"

    def _wrapped(self, arguments: list[ast.expr]) -> str:
        before = self.naive
        spelled = self._spell(arguments[0])
        if any(_demands_time_zone(one) for one in arguments[1:]):
            self.naive = before
        return spelled

    def _union(self, parts: list[ast.expr]) -> str:
        spelled = {one for part in parts for one in _split_union(self._spell(part))}
        return " | ".join(sorted(spelled, key=lambda one: (one == "None", one)))

    def _quoted(self, text: str) -> str:
        try:
            return self._spell(ast.parse(text, mode="eval").body)
        except (SyntaxError, ValueError):
            return text


def _demands_time_zone(node: ast.expr) -> bool:
    keywords = node.keywords if isinstance(node, ast.Call) else []
    return any(one.arg == "tz" and isinstance(one.value, ast.Constant) and one.value.value is True for one in keywords)


def _split_union(spelled: str) -> list[str]:
    """Undo a union within a union; one inside of brackets stays whole."""
    parts, depth, start = [], 0, 0
    for position, character in enumerate(spelled):
        depth += (character in "[(") - (character in "])")
        if not depth and spelled.startswith(" | ", position):
            parts.append(spelled[start:position])
            start = position + 3
    return [*parts, spelled[start:]]
