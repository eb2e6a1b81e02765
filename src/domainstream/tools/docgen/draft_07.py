"""Brings JSON Schema of draft 2020-12, as msgspec and pydantic write it, to draft 07, as AsyncAPI reads it."""

from collections.abc import Mapping
from typing import Any, Final

Schema = dict[str, Any]

_SCHEMA: Final = frozenset({"items", "additionalItems", "additionalProperties", "not", "contains", "propertyNames"})
_LIST: Final = frozenset({"anyOf", "allOf", "oneOf", "prefixItems"})
_TABLE: Final = frozenset({"properties", "patternProperties"})
# What OpenAPI has and AsyncAPI reads as something else; the constant tag of each alternative says the same.
_DROPPED: Final = frozenset({"discriminator"})


def to_draft_07(schema: Any) -> Any:
    """Return the schema with the keywords of draft 07; what is no schema, as a default, stays as it is."""
    if not isinstance(schema, Mapping):
        return schema
    converted = {key: _converted(key, value) for key, value in schema.items() if key not in _DROPPED}
    return _without_siblings(_with_positions(converted))


def _converted(key: str, value: Any) -> Any:
    if key in _SCHEMA:
        return to_draft_07(value)
    if key in _LIST:
        return [to_draft_07(one) for one in value]
    if key in _TABLE:
        return {name: to_draft_07(one) for name, one in value.items()}
    return value


def _with_positions(schema: Schema) -> Schema:
    """A tuple's items stand in `items`, and what may follow them in `additionalItems`."""
    if "prefixItems" not in schema:
        return schema
    rest = {key: value for key, value in schema.items() if key not in {"prefixItems", "items"}}
    return {**rest, "items": schema["prefixItems"], "additionalItems": schema.get("items", True)}


def _without_siblings(schema: Schema) -> Schema:
    """In draft 07, whatever stands beside `$ref` is ignored."""
    if "$ref" not in schema or len(schema) == 1:
        return schema
    return {"allOf": [{"$ref": schema["$ref"]}], **{key: value for key, value in schema.items() if key != "$ref"}}
