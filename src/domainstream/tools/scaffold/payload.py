"""The fields of payloads: read from the command line, and with example values for generated tests.

On the command line a field is `stay_id:str`, `score:float?` or `codes:list[str]`.
"""

import ast
import keyword
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from domainstream.tools.check.model.domain import Event, Shape
from domainstream.tools.check.model.project import Project
from domainstream.tools.common.formatting import did_you_mean
from domainstream.tools.scaffold.errors import MisspeltError, RefusedError
from domainstream.tools.scaffold.names import kebab, snake


class FieldType(NamedTuple):
    """A type of a field."""

    annotation: str
    """The type as it is written in the payload."""

    example: str
    """An expression for a value in tests; `{}` is replaced by the field's name."""

    imports: tuple[str, ...] = ()
    """The imports that both need, as `module:name` or `module as alias`."""


class Field(NamedTuple):
    """A field of a payload."""

    name: str
    """The name in snake case."""

    annotation: str
    """The type as it is written."""

    example: str
    """An expression for a value in tests."""

    imports: tuple[str, ...]
    """The imports that the annotation needs, as `module:name`."""

    @property
    def declaration(self) -> str:
        """The line in the payload; an optional field is None by default."""
        return f"{self.name}: {self.annotation}{' = None' if self.annotation.endswith('| None') else ''}"


class Example(NamedTuple):
    """A Python expression for a value."""

    text: str
    """The expression."""

    imports: tuple[str, ...] = ()
    """The imports that it needs, as `module:name`."""


class UnknownTypeError(Exception):
    """No example value of a type is known."""


_DATES: Final = "datetime as dt"
_TYPES: Final = {
    "str": FieldType("str", '"{}"'),
    "int": FieldType("int", "1"),
    "float": FieldType("float", "0.5"),
    "bool": FieldType("bool", "True"),
    "decimal": FieldType("Decimal", 'Decimal("1.50")', ("decimal:Decimal",)),
    "date": FieldType("dt.date", "dt.date(2026, 1, 31)", (_DATES,)),
    # Always with a time zone: a naive time means something else on another machine.
    "datetime": FieldType(
        "Annotated[dt.datetime, Meta(tz=True)]",
        "dt.datetime(2026, 1, 31, 12, 0, tzinfo=dt.UTC)",
        (_DATES, "typing:Annotated", "msgspec:Meta"),
    ),
    "uuid": FieldType("UUID", "UUID(int=1)", ("uuid:UUID",)),
}
_SHADOWING: Final = frozenset({"str", "int", "float", "bool", "list", "dt"})
"""Field names that would shadow the types of the fields after them."""

_PLAIN: Final = {
    "int": Example("1"),
    "float": Example("0.5"),
    "bool": Example("True"),
    "bytes": Example('b""'),
    "Any": Example('""'),
    "object": Example('""'),
    "None": Example("None"),
    "Decimal": Example('Decimal("1.50")', ("decimal:Decimal",)),
    "date": Example("dt.date(2026, 1, 31)", (_DATES,)),
    "datetime": Example("dt.datetime(2026, 1, 31, 12, 0, tzinfo=dt.UTC)", (_DATES,)),
    "time": Example("dt.time(12, 0, tzinfo=dt.UTC)", (_DATES,)),
    "timedelta": Example("dt.timedelta(minutes=1)", (_DATES,)),
    "UUID": Example("UUID(int=1)", ("uuid:UUID",)),
}
_SEQUENCES: Final = {
    "list": "[{}]",
    "Sequence": "[{}]",
    "Iterable": "[{}]",
    "set": "{{{}}}",
    "frozenset": "frozenset({{{}}})",
}
_MAPPINGS: Final = ("dict", "Mapping")


def parse_fields(typed: Iterable[str]) -> tuple[Field, ...]:
    """Return the fields; raise `MisspeltError` for an unknown type, `RefusedError` for invalid or repeated names."""
    fields = tuple(map(_parse_field, typed))
    names = [field.name for field in fields]
    once = list(dict.fromkeys(names))
    twice = [f"{name} is given twice; remove one" for name in once if names.count(name) > 1]
    shadowing = [
        f"{name} would shadow a name of Python; use, for example: {name}_value"
        for name in once
        if keyword.iskeyword(name) or name in _SHADOWING
    ]
    if twice or shadowing:
        raise RefusedError("The fields cannot be used:", [*twice, *shadowing])
    return fields


def _parse_field(typed: str) -> Field:
    name, colon, type_name = typed.partition(":")
    if not (name and colon and type_name):
        raise MisspeltError(f"{typed!r} is not a field; use name:type, for example {name or 'stay_id'}:str")
    field_type = _parse_type(type_name.strip().lower(), typed)
    name = snake(name.strip(), "name of a field")
    return Field(name, field_type.annotation, field_type.example.replace("{}", kebab(name)), field_type.imports)


def _parse_type(name: str, typed: str) -> FieldType:
    if name.endswith("?"):
        inner = _parse_type(name[:-1].rstrip("?"), typed)
        return inner._replace(annotation=f"{inner.annotation} | None")
    if name.startswith("list[") and name.endswith("]"):
        inner = _parse_type(name[5:-1], typed)
        return inner._replace(annotation=f"list[{inner.annotation}]", example=f"[{inner.example}]")
    if name not in _TYPES:
        known = [*_TYPES, "list[...]"]
        raise MisspeltError(
            f"{typed!r}: {name} is not a type.{did_you_mean(name, known)} Known: {', '.join(known)}."
            " A ? at the end makes the field optional."
        )
    return _TYPES[name]


def values_of_fields(fields: Sequence[Field], payload: str, module: str) -> dict[str, object]:
    """Return the variables of the test templates for a new payload, whose class is in `module`."""
    needed = {wanted for field in fields for wanted in field.imports}
    return {
        "payload": payload,
        "payload_place": f"{module}:{payload}",
        "examples": [f"{field.name}={field.example}" for field in fields],
        "example_imports": sorted(wanted for wanted in needed if not wanted.startswith(("typing:", "msgspec:"))),
    }


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
    """Return the required arguments of a class; `inside` are the classes around it."""
    if shape.symbol in inside:
        raise UnknownTypeError(shape.symbol)
    named = {symbol.rpartition(".")[2]: shapes[symbol] for symbol in shape.uses if symbol in shapes}
    values = _Values(named, shapes, (*inside, shape.symbol))
    arguments = []
    for field in shape.fields:
        if field.required:
            example = values.of(_parsed(field.annotation), field.name)
            arguments.append(Example(f"{field.argument}={example.text}", example.imports))
    return arguments


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
            return self.of(node.right if ast.unparse(node.left) == "None" else node.left, field)
        if isinstance(node, ast.Subscript):
            arguments = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
            return self._generic(ast.unparse(node.value), arguments, field)
        raise UnknownTypeError(ast.unparse(node))

    def _plain(self, name: str, field: str) -> Example:
        if name == "str":
            return Example(f'"{kebab(field)}"')
        if name in _PLAIN:
            return _PLAIN[name]
        if name not in self.named:
            raise UnknownTypeError(name)
        return self._shape(self.named[name])

    def _shape(self, shape: Shape) -> Example:
        module, _, name = shape.symbol.rpartition(".")
        place = f"{module}:{name}"
        if shape.members is not None:
            return Example(f"{name}({_literal(repr(next(iter(shape.members), '= ')))})", (place,))
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


def _literal(text: str) -> str:
    """Return a literal as the formatters write it; raise `UnknownTypeError` for other expressions."""
    try:
        value = ast.literal_eval(text)
    except ValueError:
        raise UnknownTypeError(text) from None
    if not isinstance(value, str):
        return repr(value)
    if value.startswith("= "):  # an expression that is not plain
        raise UnknownTypeError(value[2:])
    return repr(value) if '"' in value else f'"{repr(value)[1:-1]}"'
