"""Reads what payloads are made of (fields, nested structs, enums), and the naive datetimes that code puts into them."""

import ast
import re
from collections.abc import Collection, Iterable, Iterator
from typing import Final

from domainstream.tools.check.model.domain import Field, NaiveCall, Shape
from domainstream.tools.check.reading.sources import Source
from domainstream.tools.check.reading.symbols import Module, Symbols, last_part
from domainstream.tools.check.reading.type_normalizer import TypeNormalizer

_DEFAULTS: Final = frozenset({"default", "default_factory", "factory"})
_CLOCK_CALLS = re.compile(rb"\bnow\(\)|\butcnow\(|\butcfromtimestamp\(")
_ALWAYS_NAIVE = frozenset({"datetime.datetime.utcnow", "datetime.datetime.utcfromtimestamp"})
_NOW = "datetime.datetime.now"


def read_shapes(payloads: Iterable[str], symbols: Symbols) -> Iterator[Shape]:
    """Yield the shapes of `payloads` and of all that their fields name, as far as the system defines them."""
    left = list(dict.fromkeys(payloads))
    seen = set(left)
    while left:
        symbol = left.pop()
        found = symbols.class_of(symbol)
        if found is None:
            continue
        shape = _shape(symbol, *found, symbols)
        yield shape
        new = [used for used in shape.uses if used not in seen]
        left += new
        seen.update(new)


def _shape(symbol: str, module: Module, node: ast.ClassDef, symbols: Symbols) -> Shape:
    location = module.source.location(node)
    if any(last_part(f".{symbols.of(base, module)}").endswith("Enum") for base in node.bases):
        return Shape(symbol, (), tuple(sorted(_values(node))), (), location)
    fields: dict[str, Field] = {}
    uses: list[str] = []
    for owner, class_node in reversed(_lineage(module, node, symbols)):
        for field in _fields(owner, class_node, symbols, uses):
            fields[field.name] = field
    return Shape(symbol, tuple(fields.values()), None, tuple(dict.fromkeys(uses)), location)


def _lineage(module: Module, node: ast.ClassDef, symbols: Symbols) -> list[tuple[Module, ast.ClassDef]]:
    """Return a class and those of the system that it derives from, the class first."""
    lineage = [(module, node)]
    for owner, one in lineage:
        parents = [symbols.class_of(symbols.of(base, owner) or "") for base in one.bases]
        lineage += [parent for parent in parents if parent is not None and parent not in lineage]
    return lineage


def _values(node: ast.ClassDef) -> Iterator[str]:
    for statement in node.body:
        if isinstance(statement, ast.Assign):
            yield ast.unparse(statement.value)


def _fields(module: Module, node: ast.ClassDef, symbols: Symbols, uses: list[str]) -> Iterator[Field]:
    total = not any(one.arg == "total" and ast.unparse(one.value) == "False" for one in node.keywords)
    for statement in node.body:
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            normalizer = TypeNormalizer(module, symbols)
            annotation = normalizer.of(statement.annotation)
            if normalizer.wrapper != "ClassVar" and not statement.target.id.startswith("_"):
                uses += normalizer.uses
                required = total and normalizer.wrapper != "NotRequired" and _is_required(statement.value)
                name = _wire_name(statement.value) or statement.target.id
                yield Field(name, annotation, required, normalizer.naive, module.source.location(statement))


def _is_required(value: ast.expr | None) -> bool:
    if isinstance(value, ast.Call):
        name = ast.unparse(value.func).rpartition(".")[2].lower()
        given = any(keyword.arg in _DEFAULTS for keyword in value.keywords)
        # pydantic's Field takes the default as its first argument; `...` stands for none.
        first = any(ast.unparse(argument) != "..." for argument in value.args[:1])
        return name in {"field", "ib", "attrib"} and not given and not first
    return value is None


def _wire_name(value: ast.expr | None) -> str | None:
    keywords = value.keywords if isinstance(value, ast.Call) else []
    names = [
        one.value.value for one in keywords if one.arg in {"name", "alias"} and isinstance(one.value, ast.Constant)
    ]
    return next((name for name in names if isinstance(name, str)), None)


def read_naive_calls(files: Iterable[Source], symbols: Symbols, payloads: Collection[str]) -> Iterator[NaiveCall]:
    """Yield each `datetime.now()` without a time zone, and the like, among the arguments of a payload."""
    for module in symbols.modules(source for source in files if source.service and _CLOCK_CALLS.search(source.text)):
        for node in (node for statement in module.body for node in ast.walk(statement)):
            if isinstance(node, ast.Call) and symbols.of(node.func, module) in payloads:
                for keyword in node.keywords:
                    if _is_naive(keyword.value, module, symbols):
                        name = f"{ast.unparse(node.func)}.{keyword.arg}"
                        yield NaiveCall(name, ast.unparse(keyword.value), module.source.location(keyword.value))


def _is_naive(node: ast.expr, module: Module, symbols: Symbols) -> bool:
    if not isinstance(node, ast.Call):
        return False
    symbol = symbols.of(node.func, module)
    return symbol in _ALWAYS_NAIVE or (symbol == _NOW and not node.args and not node.keywords)
