"""The project's own source, as trees, for the tests of its architecture."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import domainstream

PACKAGE = "domainstream"
ROOT = Path(domainstream.__file__).parent

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Import:
    """One import statement's target."""

    module: str
    """What is imported, or what is imported from."""

    name: str | None
    """The name that is imported from it, or None."""

    inside: str | None
    """The function that the statement stands in, or None."""


@dataclass(frozen=True)
class Module:
    """One file of Python."""

    path: Path

    def __str__(self) -> str:
        return self.path.relative_to(ROOT.parent).as_posix()

    @property
    def name(self) -> str:
        """The dotted name under which it is imported."""
        parts = self.path.relative_to(ROOT.parent).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    @property
    def package(self) -> str:
        """The dotted name of the package it lies in, or is."""
        return self.name if self.path.stem == "__init__" else self.name.rpartition(".")[0]

    def is_in(self, *rooms: str) -> bool:
        """Return whether it lies in one of the folders, or is one of the files, named below the package's own."""
        place = self.path.relative_to(ROOT).as_posix()
        return any(place == room or place.startswith(f"{room}/") for room in rooms)

    @cached_property
    def tree(self) -> ast.Module:
        """Its syntax tree."""
        return ast.parse(self.path.read_text())

    @property
    def docstring(self) -> str:
        """What stands on top; empty when nothing does."""
        return ast.get_docstring(self.tree) or ""

    def imports(self) -> Iterator[Import]:
        """Yield every import, also those inside of functions."""
        for node, inside in _with_function(self.tree, None):
            if isinstance(node, ast.Import):
                yield from (Import(alias.name, None, inside) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield from (Import(self._absolute(node), alias.name, inside) for alias in node.names)

    def classes(self) -> Iterator[ast.ClassDef]:
        """Yield every class."""
        return (node for node in ast.walk(self.tree) if isinstance(node, ast.ClassDef))

    def functions(self) -> Iterator[Function]:
        """Yield every function and method."""
        return (node for node in ast.walk(self.tree) if isinstance(node, Function))

    def _absolute(self, node: ast.ImportFrom) -> str:
        parents = self.package.split(".")[: None if node.level < 2 else 1 - node.level]
        return ".".join([*(parents if node.level else []), *([node.module] if node.module else [])])


@cache
def modules() -> tuple[Module, ...]:
    """Return every file of the package, read once."""
    return tuple(Module(path) for path in sorted(ROOT.rglob("*.py")))


def lines_of(node: ast.stmt) -> int:
    """Count the lines of a class or function, decorators and docstring included."""
    return (node.end_lineno or node.lineno) - node.lineno + 1


def body_of(function: Function) -> list[ast.stmt]:
    """Return a function's statements without its docstring; those of a stub are none."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return [] if [ast.unparse(statement) for statement in body] == ["..."] else body


def is_protocol(node: ast.ClassDef) -> bool:
    """Return whether a class is declared as a `Protocol`."""
    return any(ast.unparse(base).partition("[")[0].endswith("Protocol") for base in node.bases)


def _with_function(node: ast.AST, inside: str | None) -> Iterator[tuple[ast.AST, str | None]]:
    for child in ast.iter_child_nodes(node):
        yield child, inside
        yield from _with_function(child, child.name if isinstance(child, Function) else inside)
