"""Says in plain words what a JSON Schema allows: the catalogue and the dashboard write for people of any language."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from domainstream.event.sensitive import SENSITIVE_KEY

REFERENCE: Final = "#/components/schemas/"
"""Where a reference finds its component."""

ANYTHING: Final = "anything"

_TYPES: Final = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "null": "nothing",
    "array": "list",
    "object": "object",
}
_FORMATS: Final = {
    "date-time": "a date-time",
    "date": "a date",
    "time": "a time of day",
    "duration": "a duration",
    "uuid": "a UUID",
    "decimal": "a decimal number",
    "uri": "a URL",
    "email": "an email address",
}
_BOUNDS: Final = (
    ("minimum", "at least {}"),
    ("exclusiveMinimum", "more than {}"),
    ("maximum", "at most {}"),
    ("exclusiveMaximum", "less than {}"),
    ("multipleOf", "a multiple of {}"),
    ("pattern", "matching {}"),
)
_LENGTHS: Final = (
    ("minLength", "maxLength", "character"),
    ("minItems", "maxItems", "item"),
    ("minProperties", "maxProperties", "member"),
)


def words_of(schema: Any, components: Mapping[str, Any]) -> str:
    """Return what values a schema allows, such as "whole number, at least 0"; classes with fields by their names."""
    if not isinstance(schema, dict):
        return ANYTHING
    if "$ref" in schema:
        return _referred(schema["$ref"], components)
    if "anyOf" in schema or "oneOf" in schema:
        return _alternatives(schema.get("anyOf") or schema["oneOf"], components)
    if "allOf" in schema:
        return " and ".join(words_of(part, components) for part in schema["allOf"])
    if "const" in schema or "enum" in schema:
        values = [_value(value) for value in schema.get("enum", [schema.get("const")])]
        return f"one of: {', '.join(values)}" if len(values) > 1 else f"always {values[0]}"
    return ", ".join([_kind(schema, components), *_limits(schema)])


def is_sensitive(schema: Any) -> bool:
    """Return whether a field, or a part of its type, is marked sensitive; classes that it refers to are not read."""
    if isinstance(schema, dict):
        return schema.get(SENSITIVE_KEY) is True or any(map(is_sensitive, schema.values()))
    return isinstance(schema, list) and any(map(is_sensitive, schema))


def _referred(reference: str, components: Mapping[str, Any]) -> str:
    name = reference.removeprefix(REFERENCE)
    component = components.get(name, {})
    is_class = "properties" in component or not component
    return str(component.get("title", name)) if is_class else words_of(component, components)


def _alternatives(parts: list[Any], components: Mapping[str, Any]) -> str:
    given = [part for part in parts if not (isinstance(part, dict) and part.get("type") == "null")]
    words = list(dict.fromkeys(words_of(part, components) for part in given))
    if len(words) > 1:
        words = [_grouped(one) for one in words]
    if len(given) < len(parts):
        words.append("nothing")
    return ", or ".join(words) if any(", " in one for one in words) else " or ".join(words)


def _kind(schema: Mapping[str, Any], components: Mapping[str, Any]) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        return " or ".join(_TYPES.get(one, str(one)) for one in kind)
    if kind == "array":
        return _list(schema, components)
    if kind == "object":
        return _object(schema, components)
    if kind == "string":
        if schema.get("contentEncoding") == "base64":
            return "bytes in base64"
        shown = str(schema.get("format", ""))
        return f"text, {_FORMATS.get(shown, f'in the format {shown}')}" if shown else "text"
    return _TYPES.get(str(kind), str(schema.get("title", ANYTHING)))


def _list(schema: Mapping[str, Any], components: Mapping[str, Any]) -> str:
    places = schema.get("prefixItems", schema.get("items"))
    if isinstance(places, list):
        return f"list of exactly: {'; '.join(words_of(place, components) for place in places)}"
    if not isinstance(places, dict) or not places:
        return "list"
    items = words_of(places, components)
    return f"list of {items}s" if items.endswith("number") else f"list of {_grouped(items)}"


def _object(schema: Mapping[str, Any], components: Mapping[str, Any]) -> str:
    values = schema.get("additionalProperties")
    if "properties" in schema or not isinstance(values, dict) or not values:
        return str(schema.get("title", "object"))
    return f"object whose values are {_grouped(words_of(values, components))}"


def _grouped(words: str) -> str:
    return f"({words})" if ", " in words else words


def _limits(schema: Mapping[str, Any]) -> Iterator[str]:
    for keyword, words in _BOUNDS:
        if keyword in schema:
            yield words.format(schema[keyword])
    for least, most, unit in _LENGTHS:
        fewest, greatest = schema.get(least, 0), schema.get(most)
        if isinstance(schema.get("prefixItems", schema.get("items")), list):
            continue  # the places say how many there are
        if fewest and greatest is not None:
            yield f"{fewest} to {_count(greatest, unit)}" if fewest != greatest else _count(fewest, unit)
        elif fewest:
            yield f"at least {_count(fewest, unit)}"
        elif greatest is not None:
            yield f"at most {_count(greatest, unit)}"


def _count(number: int, unit: str) -> str:
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"


def _value(value: Any) -> str:
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)
