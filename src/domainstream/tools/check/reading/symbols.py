"""What the names in a file refer to, across files, without importing any.

A symbol is a dotted name with imports and re-exports followed: `Channel` in a mapper is
`contracts.event_publisher_channels.Channel`. What is outside of the system keeps the name it is imported by.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from domainstream.tools.check.reading.sources import TOO_DEEP, Source, Sources

_MOST_STEPS: Final = 20
"""More re-exports than this are a circle."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    """A file that was parsed, and what its top level defines."""

    source: Source
    """The file."""

    body: list[ast.stmt] = field(default_factory=list)
    """The statements of its top level, also those under an `if` or `try`."""

    imports: dict[str, str] = field(default_factory=dict)
    """The dotted name behind each imported name."""

    classes: dict[str, ast.ClassDef] = field(default_factory=dict)
    """Its classes."""

    values: dict[str, ast.expr] = field(default_factory=dict)
    """What is assigned to its other names."""

    stars: list[str] = field(default_factory=list)
    """The modules from which it imports everything."""

    def symbol(self, name: str) -> str:
        """Return the dotted name of something that this file defines."""
        return f"{self.source.module}.{name}"

    @cached_property
    def nodes(self) -> list[ast.AST]:
        """Every node of the file, those outside before those within; several readers go through them."""
        return [node for statement in self.body for node in _walked(statement)]


class Symbols:
    """Follows names from file to file."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._modules: dict[str, Module | None] = {}
        # Most names of a system come up again and again.
        self._followed: dict[str, str] = {}
        self._parts: dict[str, tuple[Module, str, list[str]] | None] = {}
        self._members: dict[str, dict[str, str | None]] = {}

    def module(self, source: Source) -> Module | None:
        """Return a file's names; None when it cannot be parsed."""
        if source.module not in self._modules:
            tree = self._sources.tree(source)
            try:
                self._modules[source.module] = None if tree is None else _module(source, tree)
            except RecursionError:
                self._sources.give_up(source, *TOO_DEEP)
                self._modules[source.module] = None
        return self._modules[source.module]

    def of(self, node: ast.AST | None, module: Module) -> str | None:
        """Return the symbol of a name, or of a dotted name; None for any other expression."""
        names: list[str] = []
        while isinstance(node, ast.Attribute):
            names.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return None
        first = node.id
        if first in module.classes or first in module.values:
            start = module.symbol(first)
        else:
            start = module.imports.get(first) or self._starred(module, first) or first
        return self.follow(".".join([start, *reversed(names)]))

    def name_of(self, node: ast.AST | None, module: Module) -> str:
        """Return the last part of a name's symbol: what users' packages re-export from domainstream keeps it."""
        return last_part(self.unaliased(node, module))

    def unaliased(self, node: ast.AST | None, module: Module) -> str | None:
        """Return the symbol of a name, following assignments such as `Event = BaseEvent` as well as imports."""
        symbol = self.of(node, module)
        for _ in range(_MOST_STEPS):
            value = self.value_of(symbol or "")
            if value is None or not isinstance(value[1], ast.Name | ast.Attribute):
                break
            symbol = self.of(value[1], value[0])
        return symbol

    def calls_of(self, name: str, module: Module) -> Iterator[ast.Call]:
        """Yield each call in a file of what has this name, under whichever name the file imports it."""
        for node in module.nodes:
            if isinstance(node, ast.Call) and self.name_of(node.func, module) == name:
                yield node

    def follow(self, symbol: str) -> str:
        """Return where a dotted name leads once re-exports are followed."""
        if symbol not in self._followed:
            self._followed[symbol] = self._follow(symbol)
        return self._followed[symbol]

    def _follow(self, symbol: str) -> str:
        for _ in range(_MOST_STEPS):
            found = self._split(symbol)
            if found is None:
                return symbol
            module, name, rest = found
            if name in module.classes or name in module.values:
                return symbol
            origin = module.imports.get(name) or self._starred(module, name)
            if origin is None:
                return symbol
            symbol = ".".join([origin, *rest])
        return symbol

    def _starred(self, module: Module, name: str) -> str | None:
        """Return the symbol of a name that comes in by `from ... import *`; None when none of these modules has it."""
        left, seen = list(module.stars), set(module.stars)
        while left:
            source = self._sources.files.get(left.pop(0))
            origin = None if source is None else self.module(source)
            if origin is not None:
                if name in origin.classes or name in origin.values or name in origin.imports:
                    return origin.symbol(name)
                left += [star for star in origin.stars if star not in seen]
                seen.update(origin.stars)
        return None

    def class_of(self, symbol: str) -> tuple[Module, ast.ClassDef] | None:
        """Return the class that a symbol names, if the system defines it."""
        found = self._split(symbol)
        if found is None or found[2] or found[1] not in found[0].classes:
            return None
        return found[0], found[0].classes[found[1]]

    def value_of(self, symbol: str) -> tuple[Module, ast.expr] | None:
        """Return what is assigned to the name with this symbol, if the system defines it."""
        found = self._split(symbol)
        if found is None or found[2] or found[1] not in found[0].values:
            return None
        return found[0], found[0].values[found[1]]

    def text_of(self, node: ast.AST | None, module: Module) -> str | None:
        """Return the text that an expression is: a literal, a constant, or a member of an enum; None otherwise."""
        if isinstance(node, ast.Constant):
            # A text with half a surrogate pair could be neither compared with a message nor written.
            return node.value if isinstance(node.value, str) and node.value.isprintable() else None
        if isinstance(node, ast.Attribute) and node.attr == "value":
            node = node.value
        symbol = self.of(node, module)
        if symbol is None:
            return None
        owner, _, member = symbol.rpartition(".")
        if owner not in self._members and (found := self.class_of(owner)) is not None:
            self._members[owner] = dict(members_of(found[1]))
        if owner in self._members:
            return self._members[owner].get(member)
        value = self.value_of(symbol)
        return self.text_of(value[1], value[0]) if value and isinstance(value[1], ast.Constant) else None

    def _split(self, symbol: str) -> tuple[Module, str, list[str]] | None:
        """Split a symbol into the file that is imported, the name within it, and what follows."""
        if symbol not in self._parts:
            self._parts[symbol] = self._found(symbol)
        return self._parts[symbol]

    def _found(self, symbol: str) -> tuple[Module, str, list[str]] | None:
        parts = symbol.split(".")
        for length in range(len(parts) - 1, 0, -1):
            source = self._sources.files.get(".".join(parts[:length]))
            module = None if source is None else self.module(source)
            if module is not None:
                return module, parts[length], parts[length + 1 :]
        return None


def _walked(statement: ast.stmt) -> list[ast.AST]:
    """Return what `ast.walk` yields, but for the marks that say whether a name is read or written: faster by half."""
    nodes: list[ast.AST] = [statement]
    for node in nodes:
        for name in node._fields:
            value = getattr(node, name, None)
            if isinstance(value, list):
                nodes += [item for item in value if isinstance(item, ast.AST)]
            elif isinstance(value, ast.AST) and name != "ctx":
                nodes.append(value)
    return nodes


def last_part(symbol: str | None) -> str:
    """Return a symbol's own name, without the modules."""
    return (symbol or "").rpartition(".")[2]


def argument(call: ast.Call, position: int, name: str) -> ast.expr | None:
    """Return what a call gives for a parameter, by position or by name."""
    if len(call.args) > position:
        return call.args[position]
    return next((keyword.value for keyword in call.keywords if keyword.arg == name), None)


def parse_quoted(text: str) -> ast.expr | None:
    """Return the expression in a quoted annotation; None when it is not one."""
    try:
        return ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError):
        return None


def members_of(node: ast.ClassDef) -> Iterator[tuple[str, str | None]]:
    """Yield an enum's members with their values; None for a value that is not a literal string."""
    for name, value, _ in assignments_of(node.body):
        if name.startswith("_"):
            continue
        if isinstance(value, ast.Call) and not value.args and last_part(ast.unparse(value.func)) == "auto":
            yield name, name.lower()
        else:
            yield name, value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else None


def assignments_of(body: list[ast.stmt]) -> Iterator[tuple[str, ast.expr, ast.stmt]]:
    """Yield name, value and statement of each plain assignment."""
    for statement in body:
        if isinstance(statement, ast.Assign):
            targets, value = statement.targets, statement.value
            yield from ((target.id, value, statement) for target in targets if isinstance(target, ast.Name))
        elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
            if isinstance(statement.target, ast.Name):
                yield statement.target.id, statement.value, statement
        elif type(statement).__name__ == "TypeAlias":  # `type X = ...`, which Python knows from 3.12 on
            alias, aliased = getattr(statement, "name", None), getattr(statement, "value", None)
            if isinstance(alias, ast.Name) and isinstance(aliased, ast.expr):
                yield alias.id, aliased, statement


def _module(source: Source, tree: ast.Module) -> Module:
    module = Module(source, list(_top_level(tree.body)))
    for statement in module.body:
        if isinstance(statement, ast.Import):
            for alias in statement.names:
                first = alias.name.partition(".")[0]
                module.imports[alias.asname or first] = alias.name if alias.asname else first
        elif isinstance(statement, ast.ImportFrom):
            origin = absolute_name(statement, source)
            for alias in statement.names:
                if alias.name == "*":
                    module.stars.append(origin)
                else:
                    module.imports[alias.asname or alias.name] = f"{origin}.{alias.name}"
        elif isinstance(statement, ast.ClassDef):
            module.classes[statement.name] = statement
    module.values.update({name: value for name, value, _ in assignments_of(module.body)})
    return module


def _top_level(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    for statement in body:
        if isinstance(statement, ast.If):
            yield from _top_level([*statement.body, *statement.orelse])
        elif isinstance(statement, ast.Try):
            yield from _top_level([*statement.body, *statement.orelse, *statement.finalbody])
        else:
            yield statement


def absolute_name(statement: ast.ImportFrom, source: Source) -> str:
    """Return what a statement imports from, as an absolute dotted name."""
    if not statement.level:
        return statement.module or ""
    parents = source.module.split(".")
    kept = len(parents) - statement.level + (1 if source.is_package else 0)
    return ".".join([*parents[: max(kept, 0)], *([statement.module] if statement.module else [])])
