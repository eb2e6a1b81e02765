"""Describes where a payload differs from its type, without ever quoting the payload.

Payloads may hold personal data and error messages end up in logs. So msgspec's and pydantic's messages are never passed
on; only what comes from the type itself (paths, field names, kinds of values) is extracted from them.
"""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple, Self

import msgspec

_AT = re.compile(r" - at `(?:key` in `)?(?P<path>\$[^`]*)`$")
_EXPECTED_GOT = re.compile(r"^Expected `(?P<expected>[^`]+)`, got `(?P<got>[^`]+)`")
_CONSTRAINT = re.compile(r"^Expected `(?P<expected>[^`]+`[^`]*?)(?: - at|$)")
_WITHHELD = ("a value that its type accepts", "another value")
"""Expected and got, where the original message might quote a value."""

_MISSING = re.compile(r"^Object missing required field `(?P<field>[^`]+)`")


class ForeignMismatchError(ValueError):
    """A type that msgspec does not know rejected a value. msgspec chains it as the cause of an error with the path."""

    def __init__(self, expected_type: Any, error: ValueError, value: object) -> None:
        plain = {"type": expected_type.__name__, "input": value}
        details: Any = getattr(error, "errors", lambda: [plain])()
        self.expected_type = expected_type
        """The type that rejected the value, such as a pydantic model."""
        self.first: dict[str, Any] = details[0]
        """pydantic's details of the first problem."""
        super().__init__()


class Mismatch(NamedTuple):
    """Where and how a payload differs from its type."""

    path: str
    """Where, as in `$.field[0]`."""

    expected: str
    """What the type requires."""

    got: str
    """The kind of the value, never the value itself."""

    @classmethod
    def of(cls, error: Exception) -> Self:
        """Read a validation error of msgspec or pydantic; parts that may quote a value become general words."""
        at = _AT.search(str(error)) if isinstance(error, msgspec.ValidationError) else None
        path = at["path"] if at else "$"
        match error.__cause__:
            case ForeignMismatchError(first=first, expected_type=model):
                kind = str(first.get("type", "a value that its model accepts"))
                kinds = ("a value", "nothing") if kind == "missing" else (kind, type(first.get("input")).__name__)
                return cls(path + _pydantic_path(model, first), *kinds)
            case None if isinstance(error, msgspec.ValidationError):
                return cls(path, *_msgspec_kinds(str(error)))
            case _:
                return cls(path, *_WITHHELD)


def _msgspec_kinds(text: str) -> tuple[str, str]:
    if match := _EXPECTED_GOT.match(text):
        return match["expected"], match["got"]
    if match := _MISSING.match(text):
        return f"the field {match['field']}", "nothing"
    if match := _CONSTRAINT.match(text):
        return match["expected"].replace("`", ""), "another value"
    return _WITHHELD


def _pydantic_path(model: Any, details: dict[str, Any]) -> str:
    """Return pydantic's location as a path, with `[...]` for all but field names and indices: a key may be data."""
    names = _field_names(model)
    return "".join(
        f"[{part}]" if isinstance(part, int) else f".{part}" if part in names else "[...]"
        for part in details.get("loc", ())
    )


@cache
def _field_names(model: Any) -> frozenset[str]:
    """Return the names of all fields of a model and of the models in it."""
    try:
        return frozenset(_properties(model.model_json_schema()))
    except (AttributeError, TypeError, ValueError, RuntimeError):  # not a model, or a type of it has no JSON Schema
        return frozenset()


def _properties(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        yield from schema.get("properties", ())
        for part in schema.values():
            yield from _properties(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from _properties(part)
