"""Example values for the payloads in generated tests, derived from the types of their fields."""

import ast
from collections.abc import Mapping
from typing import Final, NamedTuple

from domainstream.tools.check.model.domain import Event, Shape
from domainstream.tools.check.model.project import Project
from domainstream.tools.scaffold.names import kebab

_PLAIN: Final = {
    "int": "1",
    "float": "0.5",
    "bool": "True",
    "bytes": 'b""',
    "Any": '""',
    "object": '""',
    "None": "None",
    "Decimal": 'Decimal("1.50")',
    "date": "dt.date(2026, 1, 31)",
    "datetime": "dt.datetime(2026, 1, 31, 12, 0, tzinfo=dt.UTC)",
    "time": "dt.time(12, 0, tzinfo=dt.UTC)",
    "timedelta": "dt.timedelta(minutes=1)",
    "UUID": "UUID(int=1)",
}
_IMPORTS: Final = {"Decimal": "decimal:Decimal", "UUID": "uuid:UUID"}
_SEQUENCES: Final = {
    "list": "[{}]",
    "Sequence": "[{}]",
    "Iterable": "[{}]",
    "set": "{{{}}}",
    "frozenset": "frozenset({{{}}})",
}
_MAPPINGS: Final = ("dict", "Mapping")


class Example(NamedTuple):
    """A Python expression for a value."""

    text: str
    """The expression."""

    imports: tuple[str, ...] = ()
    """The imports that it needs, as `module:name`."""


class UnknownTypeError(Exception):
    """No example value of a type is known."""


def payload_values(event: Event, project: Project) -> dict[str, object]:
    """Return the variables of the test templates for the payload of an existing event.

    Raises `UnknownTypeError` for a payload or a field without a known example.
    """
    shape = project.shapes.get(event.payload or "")
    if shape is None:
        raise UnknownTypeError(event.payload or "of the payload")
    examples = _arguments(shape, project.shapes, ())
    module, _, name = shape.symbol.rpartition(".")
    return {
        "payload": name,
        "payload_place": f"{module}:{name}",
        "examples": [example.text for example in examples],
        "example_imports": sorted({wanted for example in examples for wanted in example.imports}),
    }


def _arguments(shape: Shape, shapes: Mapping[str, Shape], inside: tuple[str, ...]) -> list[Example]:
    if shape.symbol in inside:
        raise UnknownTypeError(shape.symbol)
    named = {symbol.rpartition(".")[2]: shapes[symbol] for symbol in shape.uses if symbol in shapes}
    values = _Values(named, shapes, (*inside, shape.symbol))
    examples = [
        (field.name, values.of(_parsed(field.annotation), field.name)) for field in shape.fields if field.required
    ]
    return [Example(f"{name}={example.text}", example.imports) for name, example in examples]


def _parsed(annotation: str) -> ast.expr:
    try:
        return ast.parse(annotation, mode="eval").body
    except SyntaxError:
        raise UnknownTypeError(annotation) from None


class _Values(NamedTuple):
    """Derives example values from types."""

    named: Mapping[str, Shape]
    """The classes that the annotations name."""

    shapes: Mapping[str, Shape]
    """All classes by symbol."""

    inside: tuple[str, ...]
    """The classes around the value, to detect recursion."""

    def of(self, node: ast.expr, field: str) -> Example:
        """Return a value of the annotation `node`; raise `UnknownTypeError` when none is known."""
        if isinstance(node, ast.Name | ast.Constant):
            return self._plain(ast.unparse(node), field)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
            return self._first([node.left, node.right], field)
        if isinstance(node, ast.Subscript):
            arguments = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
            return self._generic(ast.unparse(node.value), arguments, field)
        raise UnknownTypeError(ast.unparse(node))

    def _first(self, nodes: list[ast.expr], field: str) -> Example:
        """Return a value of the first member of a union that is not None."""
        for node in nodes:
            if ast.unparse(node) != "None":
                return self.of(node, field)
        return Example("None")

    def _plain(self, name: str, field: str) -> Example:
        if name == "str":
            return Example(f'"{kebab(field)}"')
        if name in _PLAIN:
            text = _PLAIN[name]
            return Example(text, ("datetime as dt",) if text.startswith("dt.") else _imports_of(name))
        if name not in self.named:
            raise UnknownTypeError(name)
        return self._shape(self.named[name])

    def _shape(self, shape: Shape) -> Example:
        module, _, name = shape.symbol.rpartition(".")
        place = f"{module}:{name}"
        if shape.members is not None:
            return Example(f"{name}({_literal(next(iter(shape.members), name))})", (place,))
        inner = _arguments(shape, self.shapes, self.inside)
        needed = tuple(wanted for example in inner for wanted in example.imports)
        return Example(f"{name}({', '.join(example.text for example in inner)})", (place, *needed))

    def _generic(self, name: str, arguments: list[ast.expr], field: str) -> Example:
        if name in _SEQUENCES:
            return self._wrapped(_SEQUENCES[name], arguments[:1], field)
        if name == "tuple":
            alone = len(arguments) == 2 and ast.unparse(arguments[1]) == "..."
            return self._wrapped(
                "({},)" if alone or len(arguments) == 1 else "({})", arguments[: 1 if alone else None], field
            )
        if name in _MAPPINGS:
            key, value = (self.of(argument, field) for argument in arguments)
            return Example(f"{{{key.text}: {value.text}}}", (*key.imports, *value.imports))
        if name == "Literal":
            return Example(_literal(ast.unparse(arguments[0])))
        if name == "Optional":
            return self.of(arguments[0], field)
        raise UnknownTypeError(name)

    def _wrapped(self, around: str, arguments: list[ast.expr], field: str) -> Example:
        values = [self.of(argument, field) for argument in arguments]
        needed = tuple(wanted for value in values for wanted in value.imports)
        return Example(around.format(", ".join(value.text for value in values)), needed)


def _imports_of(name: str) -> tuple[str, ...]:
    return (_IMPORTS[name],) if name in _IMPORTS else ()


def _literal(text: str) -> str:
    """Return a literal as the formatters write it; raise `UnknownTypeError` for other expressions."""
    try:
        value = ast.literal_eval(text)
    except ValueError:
        raise UnknownTypeError(text) from None
    if not isinstance(value, str):
        return repr(value)
    return repr(value) if '"' in value else f'"{repr(value)[1:-1]}"'
