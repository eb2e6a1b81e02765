"""Reads what payloads are made of (fields, nested structs, enums), and the naive datetimes that code puts into them.

Types are written in one normal form, so that another spelling of the same type does not count as a change.
"""

import ast
import re
from collections.abc import Collection, Iterator
from typing import Final

from domainstream.tools.check.model.domain import Field, NaiveCall, Shape
from domainstream.tools.check.reading.sources import Source
from domainstream.tools.check.reading.symbols import Module, Symbols, last_part, parse_quoted

_DEFAULTS: Final = frozenset({"default", "default_factory", "factory"})
_CLOCK_CALLS: Final = re.compile(rb"\bnow\(\)|\butcnow\(|\butcfromtimestamp\(")
_ALWAYS_NAIVE: Final = frozenset({"datetime.datetime.utcnow", "datetime.datetime.utcfromtimestamp"})
_NOW: Final = "datetime.datetime.now"
_WRAPPERS: Final = frozenset({"ClassVar", "NotRequired", "Required", "ReadOnly", "Final", "Annotated"})
_OLD_NAMES: Final = {"List": "list", "Tuple": "tuple", "Dict": "dict", "Set": "set", "FrozenSet": "frozenset"}


def read_shapes(payload: str, symbols: Symbols) -> Iterator[Shape]:
    """Yield the shapes of a payload and of all that its fields name, as far as the system defines them."""
    left = [payload]
    seen = {payload}
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
    if any(symbols.name_of(base, module).endswith("Enum") for base in node.bases):
        values = (ast.unparse(statement.value) for statement in node.body if isinstance(statement, ast.Assign))
        return Shape(symbol, (), tuple(sorted(values)), (), location)
    lineage = [(module, node)]
    for owner, class_node in lineage:
        parents = [symbols.class_of(symbols.of(base, owner) or "") for base in class_node.bases]
        lineage += [parent for parent in parents if parent is not None and parent not in lineage]
    fields: dict[str, Field] = {}
    uses: list[str] = []
    for owner, class_node in reversed(lineage):
        fields.update({field.name: field for field in _fields(owner, class_node, symbols, uses)})
    return Shape(symbol, tuple(fields.values()), None, tuple(dict.fromkeys(uses)), location)


def _fields(module: Module, node: ast.ClassDef, symbols: Symbols, uses: list[str]) -> Iterator[Field]:
    total = not any(given.arg == "total" and ast.unparse(given.value) == "False" for given in node.keywords)
    for statement in node.body:
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            normalizer = TypeNormalizer(module, symbols)
            annotation = normalizer.of(statement.annotation)
            if normalizer.wrapper != "ClassVar" and not statement.target.id.startswith("_"):
                uses += normalizer.uses
                required, renamed = _field_options(statement.value, module, symbols)
                required = required and total and normalizer.wrapper != "NotRequired"
                name = renamed or statement.target.id
                yield Field(name, annotation, required, normalizer.naive, module.source.location(statement))


def _field_options(value: ast.expr | None, module: Module, symbols: Symbols) -> tuple[bool, str]:
    """Return whether a field with this default is required, and the name it gets, as by `field(name="stayId")`."""
    if not isinstance(value, ast.Call):
        return value is None, ""
    function = symbols.name_of(value.func, module).lower()
    given = any(keyword.arg in _DEFAULTS for keyword in value.keywords)
    # pydantic's Field takes the default as its first argument; `...` is none.
    first = any(ast.unparse(argument) != "..." for argument in value.args[:1])
    required = function in {"field", "ib", "attrib"} and not given and not first
    names = (keyword.value for keyword in value.keywords if keyword.arg in {"name", "alias"})
    texts = (node.value for node in names if isinstance(node, ast.Constant) and isinstance(node.value, str))
    return required, next(texts, "")


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
        if isinstance(node, ast.Constant) and node.value is ...:
            return "..."
        return ast.unparse(node)

    def _named(self, node: ast.Name | ast.Attribute) -> str:
        symbol = self._symbols.of(node, self._module) or ast.unparse(node)
        name = last_part(symbol)
        if self._symbols.class_of(symbol) is not None:
            self.uses.append(symbol)
            return name
        alias = self._symbols.value_of(symbol)
        if alias is None or symbol in self._aliases:
            self.naive = self.naive or symbol == "datetime.datetime"
            return _OLD_NAMES.get(name, name)
        self._aliases.add(symbol)
        outside = self._module
        self._module, value = alias
        try:
            # The second argument of NewType is the type behind the name.
            return self._spell(value.args[1] if isinstance(value, ast.Call) and len(value.args) > 1 else value)
        finally:
            self._module = outside

    def _subscript(self, node: ast.Subscript) -> str:
        name = self._symbols.name_of(node.value, self._module)
        arguments = list(node.slice.elts) if isinstance(node.slice, ast.Tuple) else [node.slice]
        if name in _WRAPPERS and arguments:
            before = self.naive
            spelled = self._spell(arguments[0])
            calls = [argument for argument in arguments[1:] if isinstance(argument, ast.Call)]
            if any(word.arg == "tz" and ast.unparse(word.value) == "True" for call in calls for word in call.keywords):
                self.naive = before  # Meta(tz=True) demands a time zone
            return spelled
        if name == "Union":
            return self._union(arguments)
        if name == "Optional":
            return self._union([*arguments, ast.Constant(None)])
        if name == "Literal":
            return f"Literal[{', '.join(sorted(map(ast.unparse, arguments)))}]"
        return f"{self._spell(node.value)}[{', '.join(map(self._spell, arguments))}]"

    def _union(self, parts: list[ast.expr]) -> str:
        spelled = {member for part in parts for member in _split_union(self._spell(part))}
        return " | ".join(sorted(spelled, key=lambda member: (member == "None", member)))


def _split_union(spelled: str) -> list[str]:
    """Undo a union within a union; one inside of brackets stays whole."""
    parts, depth, start = [], 0, 0
    for position, character in enumerate(spelled):
        depth += (character in "[(") - (character in "])")
        if not depth and spelled.startswith(" | ", position):
            parts.append(spelled[start:position])
            start = position + 3
    return [*parts, spelled[start:]]


def read_naive_calls(source: Source, symbols: Symbols, payloads: Collection[str]) -> Iterator[NaiveCall]:
    """Yield each `datetime.now()` without a time zone, and the like, among the arguments of a payload."""
    if not source.service or not _CLOCK_CALLS.search(source.text) or (module := symbols.module(source)) is None:
        return
    for call in module.nodes():
        if not isinstance(call, ast.Call) or symbols.of(call.func, module) not in payloads:
            continue
        for keyword in call.keywords:
            given = keyword.value
            if not isinstance(given, ast.Call):
                continue
            symbol = symbols.of(given.func, module)
            if symbol in _ALWAYS_NAIVE or (symbol == _NOW and not given.args and not given.keywords):
                name = f"{ast.unparse(call.func)}.{keyword.arg}"
                yield NaiveCall(name, ast.unparse(given), source.location(given))
