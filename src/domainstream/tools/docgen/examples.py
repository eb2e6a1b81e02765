"""An example of what fits a schema, always the same for a schema."""

from collections.abc import Mapping
from typing import Any, Final

from domainstream.tools.docgen.draft_07 import Schema
from domainstream.tools.docgen.schemas import REFERENCE

_TEXTS: Final = {
    "date-time": "2026-01-02T03:04:05Z",
    "date": "2026-01-02",
    "time": "03:04:05Z",
    "partial-time": "03:04:05",
    "duration": "PT90S",
    "uuid": "019b7ca9-8c88-7000-8000-000000000001",
    "decimal": "12.50",
    "email": "somebody@example.org",
    "uri": "https://example.org",
}
_SIMPLE: Final = {"boolean": True, "null": None}


class EndlessError(Exception):
    """A type that contains itself without an end."""


def example_of(schema: Any, components: Mapping[str, Schema], name: str = "text", inside: tuple[str, ...] = ()) -> Any:
    """Return an example; raise `EndlessError` where there is none. `name` is the field's, `inside` what it lies in."""
    if not isinstance(schema, Mapping):
        return None
    if "$ref" in schema:
        component = schema["$ref"].removeprefix(REFERENCE)
        if component in inside:
            raise EndlessError
        return example_of(components[component], components, name, (*inside, component))
    given = [*schema.get("examples", ()), *_constants(schema), schema.get("default")]
    if (chosen := next((one for one in given if one is not None), None)) is not None:
        return chosen
    for key in ("anyOf", "oneOf", "allOf"):
        if key in schema:
            return _first(schema[key], components, name, inside)
    return _by_kind(schema, components, name, inside)


def _constants(schema: Mapping[str, Any]) -> list[Any]:
    return [schema["const"]] if "const" in schema else list(schema.get("enum", ()))


def _first(options: list[Any], components: Mapping[str, Schema], name: str, inside: tuple[str, ...]) -> Any:
    for option in sorted(options, key=lambda one: one == {"type": "null"}):
        try:
            return example_of(option, components, name, inside)
        except EndlessError:
            continue
    raise EndlessError


def _by_kind(schema: Mapping[str, Any], components: Mapping[str, Schema], name: str, inside: tuple[str, ...]) -> Any:
    kind = schema.get("type")
    if kind == "object":
        fields = schema.get("properties", {}).items()
        return {key: example_of(one, components, key, inside) for key, one in fields}
    if kind == "array":
        return _array(schema, components, name, inside)
    if kind in {"integer", "number"}:
        return _number(schema, 1 if kind == "integer" else 0.5)
    return _text(schema, name) if kind == "string" else _SIMPLE.get(str(kind))


def _array(schema: Mapping[str, Any], components: Mapping[str, Schema], name: str, inside: tuple[str, ...]) -> Any:
    items = schema.get("items", {})
    if isinstance(items, list):
        return [example_of(one, components, name, inside) for one in items]
    try:
        return [example_of(items, components, name, inside)]
    except EndlessError:
        return []


def _number(schema: Mapping[str, Any], usual: float) -> float:
    step = schema.get("multipleOf", 1 if isinstance(usual, int) else 0.5)
    least = schema.get("minimum", schema.get("exclusiveMinimum", usual - step) + step)
    most = schema.get("maximum", schema.get("exclusiveMaximum", max(usual, least) + step) - step)
    return max(least, min(most, usual))  # type: ignore[no-any-return]  # numbers of a schema


def _text(schema: Mapping[str, Any], name: str) -> str:
    if "contentEncoding" in schema:
        return "AQID"
    usual = f"{name[:-3]}-1" if name.endswith("_id") else name.replace("_", " ")
    text: str = _TEXTS.get(schema.get("format", ""), usual)
    return text.ljust(schema.get("minLength", 0), "x")[: schema.get("maxLength", None)]
