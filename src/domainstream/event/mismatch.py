"""What is wrong with a payload, in words that never quote the payload."""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple, Self

import msgspec

_AT = re.compile(r" - at `(?:key` in `)?(?P<path>\$[^`]*)`$")
_EXPECTED_GOT = re.compile(r"^Expected `(?P<expected>[^`]+)`, got `(?P<got>[^`]+)`")
_CONSTRAINT = re.compile(r"^Expected `(?P<expected>[^`]+`[^`]*?)(?: - at|$)")
_UNSAID = ("a value that its type accepts", "another value")
_MISSING = re.compile(r"^Object missing required field `(?P<field>[^`]+)`")


class ForeignMismatchError(ValueError):
    """A pydantic model refused a payload; msgspec makes this the cause of an error of its own, which adds the place."""

    def __init__(self, model: Any, error: ValueError) -> None:
        details: Any = getattr(error, "errors", lambda: [{}])()
        self.model = model
        self.first: dict[str, Any] = details[0]
        super().__init__()


class Mismatch(NamedTuple):
    """Where a payload differs from its type, and how."""

    path: str
    """As `$.field[0]`."""

    expected: str
    """What the type says."""

    got: str
    """The kind of value found, never the value."""

    @classmethod
    def of(cls, error: Exception) -> Self:
        """Read a validation error of msgspec or pydantic; what might quote a value is replaced by general words."""
        at = _AT.search(str(error)) if isinstance(error, msgspec.ValidationError) else None
        path = at["path"] if at else "$"
        match error.__cause__:
            case ForeignMismatchError(first=first, model=model):
                return cls(path + _pydantic_path(model, first), *_pydantic_kinds(first))
            case None if isinstance(error, msgspec.ValidationError):
                return cls(path, *_msgspec_kinds(str(error)))
            case _:
                return cls(path, *_UNSAID)


def _msgspec_kinds(text: str) -> tuple[str, str]:
    if found := _EXPECTED_GOT.match(text):
        return found["expected"], found["got"]
    if found := _MISSING.match(text):
        return f"the field {found['field']}", "nothing"
    if found := _CONSTRAINT.match(text):
        return found["expected"].replace("`", ""), "a value outside of that"
    return _UNSAID


def _pydantic_path(model: Any, details: dict[str, Any]) -> str:
    names = _field_names(model)
    return "".join(_step(step, names) for step in details.get("loc", ()))


def _step(step: int | str, names: frozenset[str]) -> str:
    if isinstance(step, int):
        return f"[{step}]"
    return f".{step}" if step in names else "[...]"


@cache
def _field_names(model: Any) -> frozenset[str]:
    """Return the names of all fields of a model; any other word of a path may be a key out of the payload."""
    try:
        return frozenset(_properties(model.model_json_schema()))
    except (TypeError, ValueError, RuntimeError):  # a type of the model has no JSON Schema
        return frozenset()


def _properties(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        yield from schema.get("properties", ())
        for part in schema.values():
            yield from _properties(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from _properties(part)


def _pydantic_kinds(details: dict[str, Any]) -> tuple[str, str]:
    kind = str(details.get("type", "a value that its model accepts"))
    return ("a value", "nothing") if kind == "missing" else (kind, type(details.get("input")).__name__)
