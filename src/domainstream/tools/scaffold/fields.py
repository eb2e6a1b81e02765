"""Reads the fields of a payload from the command line: `stay_id:str score:float? codes:list[str]`."""

import keyword
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from domainstream.tools.common.suggestions import did_you_mean
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


def parse_fields(typed: Iterable[str]) -> tuple[Field, ...]:
    """Return the fields; raise `MisspeltError` for an unknown type, `RefusedError` for invalid or repeated names."""
    fields = tuple(map(_parse_field, typed))
    names = [field.name for field in fields]
    twice = [f"{name} is given twice; remove one" for name in dict.fromkeys(names) if names.count(name) > 1]
    problems = [*twice, *(problem for name in dict.fromkeys(names) for problem in _problems(name))]
    if problems:
        raise RefusedError("The fields cannot be used:", problems)
    return fields


def imports_of_examples(fields: Sequence[Field]) -> list[str]:
    """Return the imports that the examples of the fields need, as `module:name`."""
    needed = {wanted for field in fields for wanted in field.imports}
    return sorted(wanted for wanted in needed if not wanted.startswith(("typing:", "msgspec:")))


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


def _problems(name: str) -> Iterable[str]:
    if keyword.iskeyword(name) or name in _SHADOWING:
        yield f"{name} would shadow a name of Python; use, for example: {name}_value"
