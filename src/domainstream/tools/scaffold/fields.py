"""The fields of a payload as they are typed: `stay_id:str score:float? codes:list[str]`."""

import keyword
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from domainstream.tools.scaffold.errors import MisspeltError, RefusedError
from domainstream.tools.scaffold.names import did_you_mean, kebab, snake


class FieldType(NamedTuple):
    """A type of a field."""

    annotation: str
    """As it is written in the payload."""

    example: str
    """An expression of a value, for tests; `{}` stands for the field's name."""

    imports: tuple[str, ...] = ()
    """What both need, as `module:name`; without a name, `module` itself is imported as the annotation says."""


class Field(NamedTuple):
    """A field of a payload."""

    name: str
    """In snake case."""

    annotation: str
    """Its type, as it is written."""

    example: str
    """An expression of a value, for tests."""

    imports: tuple[str, ...]
    """What the annotation needs, as `module:name`."""

    @property
    def declaration(self) -> str:
        """The line in the payload; what may be missing is None then."""
        return f"{self.name}: {self.annotation}{' = None' if self.annotation.endswith('| None') else ''}"


_DATES: Final = "datetime as dt"
_TYPES: Final = {
    "str": FieldType("str", '"{}"'),
    "int": FieldType("int", "1"),
    "float": FieldType("float", "0.5"),
    "bool": FieldType("bool", "True"),
    "decimal": FieldType("Decimal", 'Decimal("1.50")', ("decimal:Decimal",)),
    "date": FieldType("dt.date", "dt.date(2026, 1, 31)", (_DATES,)),
    # Only with a time zone: a naive time means something else on another machine.
    "datetime": FieldType(
        "Annotated[dt.datetime, Meta(tz=True)]",
        "dt.datetime(2026, 1, 31, 12, 0, tzinfo=dt.UTC)",
        (_DATES, "typing:Annotated", "msgspec:Meta"),
    ),
    "uuid": FieldType("UUID", "UUID(int=1)", ("uuid:UUID",)),
}
_SHADOWING: Final = frozenset({"str", "int", "float", "bool", "list", "dt"})
"""Field names that would hide the types of the fields after them."""


def parse_fields(typed: Iterable[str]) -> tuple[Field, ...]:
    """Return the fields; raise `MisspeltError` for a type that is none, `RefusedError` for names that cannot be."""
    fields = tuple(map(_parse_field, typed))
    names = [field.name for field in fields]
    twice = [f"{name} is there twice; remove one" for name in dict.fromkeys(names) if names.count(name) > 1]
    problems = [*twice, *(problem for name in dict.fromkeys(names) for problem in _problems(name))]
    if problems:
        raise RefusedError("The fields cannot be used:", problems)
    return fields


def imports_of_examples(fields: Sequence[Field]) -> list[str]:
    """Return what the examples of the fields need, as `module:name`."""
    needed = {one for field in fields for one in field.imports}
    return sorted(one for one in needed if not one.startswith(("typing:", "msgspec:")))


def _parse_field(typed: str) -> Field:
    name, colon, type_name = typed.partition(":")
    if not (name and colon and type_name):
        raise MisspeltError(f"{typed!r} is no field; type: name:type, for example {name or 'stay_id'}:str")
    found = _parse_type(type_name.strip().lower(), typed)
    name = snake(name.strip(), "name of a field")
    return Field(name, found.annotation, found.example.replace("{}", kebab(name)), found.imports)


def _parse_type(name: str, typed: str) -> FieldType:
    if name.endswith("?"):
        inner = _parse_type(name[:-1].rstrip("?"), typed)
        return inner._replace(annotation=f"{inner.annotation} | None")
    if name.startswith("list[") and name.endswith("]"):
        inner = _parse_type(name[5:-1], typed)
        return inner._replace(annotation=f"list[{inner.annotation}]", example=f"[{inner.example}]")
    if name not in _TYPES:
        known = [*_TYPES, "list[...]"]
        hint = did_you_mean(name, known)
        known_too = "" if hint.startswith("known") else f" Known: {', '.join(known)}."
        raise MisspeltError(f"{typed!r}: {name} is no type; {hint}{known_too} A ? at the end: it may be missing.")
    return _TYPES[name]


def _problems(name: str) -> Iterable[str]:
    if keyword.iskeyword(name) or name in _SHADOWING:
        yield f"{name} is a word of Python; type, for example: {name}_value"
