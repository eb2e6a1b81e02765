"""Reads the fields that no message can carry: of an event beside its payload, and of types that cannot be written."""

import ast
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from domainstream.event import BaseEvent
from domainstream.tools.check.model.domain import Event, Uncarried
from domainstream.tools.check.reading.rebuilt_types import lineage, origin, type_problem
from domainstream.tools.check.reading.sources import Source, Sources
from domainstream.tools.check.reading.symbols import Module, Symbols, parse_quoted

_PLAIN: Final = frozenset({"str", "int", "float", "bool"})
"""What most fields are, in arrays or beside None as well, and what needs no closer look."""

_PLAIN_ARRAYS: Final = frozenset({"list", "tuple"})

_RECORDS: Final = frozenset({"EventPayload", "Struct", "TypedDict", "NamedTuple", "Generic"})


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
            elif judged and (problem := type_problem(annotation, module, symbols)):
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


def _declared(symbol: str, symbols: Symbols) -> Iterator[_Declared]:
    for module, node in lineage(symbol, symbols):
        for statement in node.body:
            if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                quoted = statement.annotation
                annotation = (
                    parse_quoted(quoted.value)
                    if isinstance(quoted, ast.Constant) and isinstance(quoted.value, str)
                    else quoted
                )
                if annotation is not None and symbols.name_of(origin(annotation), module) != "ClassVar":
                    yield _Declared(module, node, statement)


def _is_judged(symbol: str, symbols: Symbols) -> bool:
    """Return whether msgspec reads a class's fields: pydantic has rules of its own, and an enum has no fields."""
    for module, node in lineage(symbol, symbols):
        for base in map(origin, node.bases):
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
