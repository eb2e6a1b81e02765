"""Reads definitions that come twice, as after a merge: the last of two wins, and Python does not report it."""

import ast
from collections.abc import Iterable, Iterator

from domainstream.tools.check.model.project import Repeated
from domainstream.tools.check.reading.sources import Source
from domainstream.tools.check.reading.symbols import Symbols, assignments_of, members_of


def read_repeated_names(source: Source, tree: ast.Module) -> Iterator[Repeated]:
    """Yield each class, undecorated function, field and key of a class that another one of that name replaces.

    Definitions under an `if` or `try` are alternatives, and decorated functions may be registered under both.
    """
    names = [
        (node.name, node)
        for node in tree.body
        if isinstance(node, ast.ClassDef)
        or (isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.decorator_list)
    ]
    yield from _repeated(source, "", names)
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            yield from _repeated_inside(source, node)


def _repeated_inside(source: Source, node: ast.ClassDef) -> Iterator[Repeated]:
    inside = f"{node.name}."
    typed = [statement for statement in node.body if isinstance(statement, ast.AnnAssign)]
    names = [(statement.target.id, statement) for statement in typed if isinstance(statement.target, ast.Name)]
    values = list(assignments_of(node.body))
    # An enum of channels has a rule of its own for values that come twice.
    if not any(_own_name(base) == "EventPublisherChannel" for base in node.bases):
        yield from _repeated(source, inside, names)
        untyped = ((name, statement) for name, _, statement in values if isinstance(statement, ast.Assign))
        yield from _repeated(source, inside, untyped)
    # Upcasters are read with those that consumers get.
    inner = [value for name, value, _ in values if name != "upcasters"]
    for table in [*(given.value for given in node.keywords), *inner]:
        if isinstance(table, ast.Dict):
            keys = (key for key in table.keys if isinstance(key, ast.Constant))
            yield from _repeated(source, inside, ((repr(key.value), key) for key in keys))


def _own_name(base: ast.expr) -> str:
    """Return a base's name without its module."""
    return base.attr if isinstance(base, ast.Attribute) else base.id if isinstance(base, ast.Name) else ""


def _repeated(source: Source, inside: str, named: Iterable[tuple[str, ast.AST]]) -> Iterator[Repeated]:
    first: dict[str, ast.AST] = {}
    for name, node in named:
        other = first.setdefault(name, node)
        if other is not node:
            line = source.location(other).line
            yield Repeated("name", f"{inside}{name}", f"line {line}", source.location(node))


def read_repeated_values(source: Source, symbols: Symbols) -> Iterator[Repeated]:
    """Yield each member of a file's enums that has the value of another one."""
    module = symbols.module(source)
    for node in module.classes.values() if module else ():
        locations = {name: source.location(statement) for name, _, statement in assignments_of(node.body)}
        first: dict[str, str] = {}
        for name, value in members_of(node):
            if value is not None and first.setdefault(value, name) != name:
                yield Repeated("value", f"{node.name}.{name}", f"{node.name}.{first[value]}", locations[name])
