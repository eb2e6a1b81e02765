"""JSON Schema as the documents use it: draft 07, because that is what AsyncAPI reads.

msgspec and pydantic write draft 2020-12.
"""

from collections.abc import Mapping
from typing import Any, Final

Schema = dict[str, Any]

REFERENCE: Final = "#/components/schemas/"
"""Where a reference finds its component."""

_SCHEMA: Final = frozenset({"items", "additionalItems", "additionalProperties", "not", "contains", "propertyNames"})
_LIST: Final = frozenset({"anyOf", "allOf", "oneOf", "prefixItems"})
_TABLE: Final = frozenset({"properties", "patternProperties"})
# A keyword of OpenAPI that AsyncAPI reads differently; the constant tag of each alternative holds the same information.
_DROPPED: Final = frozenset({"discriminator"})


def resolved(schema: Schema, components: Mapping[str, Schema]) -> Schema:
    """Return the component that a reference refers to; any other schema is returned itself."""
    reference = schema.get("$ref")
    return components[reference.removeprefix(REFERENCE)] if reference else schema


def to_draft_07(schema: Any) -> Any:
    """Return the schema with the keywords of draft 07; data within it, such as a default, stays as it is."""
    if not isinstance(schema, Mapping):
        return schema
    converted = {key: _converted(key, value) for key, value in schema.items() if key not in _DROPPED}
    return _without_siblings(_with_positions(converted))


def _converted(key: str, value: Any) -> Any:
    if key in _SCHEMA:
        return to_draft_07(value)
    if key in _LIST:
        return [to_draft_07(part) for part in value]
    if key in _TABLE:
        return {name: to_draft_07(part) for name, part in value.items()}
    return value


def _with_positions(schema: Schema) -> Schema:
    """Move the items of a tuple to `items`, and what may follow them to `additionalItems`."""
    if "prefixItems" not in schema:
        return schema
    rest = {key: value for key, value in schema.items() if key not in {"prefixItems", "items"}}
    return {**rest, "items": schema["prefixItems"], "additionalItems": schema.get("items", True)}


def _without_siblings(schema: Schema) -> Schema:
    """Wrap a reference that has siblings, which draft 07 ignores beside `$ref`."""
    if "$ref" not in schema or len(schema) == 1:
        return schema
    return {"allOf": [{"$ref": schema["$ref"]}], **{key: value for key, value in schema.items() if key != "$ref"}}
