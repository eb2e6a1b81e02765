"""The JSON Schema of the CloudEvents envelope, as `docs/wire-format` describes it."""

from typing import Any, Final

import msgspec

from domainstream.event import EventMessage
from domainstream.tools.docgen.json_schema import Schema

ATTRIBUTES: Final = {
    "specversion": "The version of CloudEvents.",
    "id": "The event's id, a UUIDv7; the same id is the same event.",
    "source": "The service that published it.",
    "type": "The event's type, equal to the channel's value.",
    "time": "When it happened: RFC 3339, in UTC.",
    "subject": "The aggregate's id.",
    "datacontenttype": "Always application/json.",
    "dataschema": "The payload's type and version.",
    "correlationid": "The business transaction: the id of the event that started it.",
    "causationid": "The id of the event that led to this one.",
    "traceparent": "W3C Trace Context.",
    "tracestate": "W3C Trace Context.",
    "partitionkey": "Events that share it must stay in order; without it, those of one aggregate.",
    "sequence": "The event's number within the aggregate: 20 digits.",
}
"""The description of each attribute; `data` is missing because it differs from message to message."""

ALWAYS: Final = ("specversion", "id", "source", "type", "time", "subject", "datacontenttype", "dataschema", "data")
"""The attributes that every message has."""


def envelope_schema() -> Schema:
    """Return the schema that all messages share. Publishers leave an attribute out rather than write null."""
    generated = msgspec.json.schema_components([EventMessage])[1]["EventMessage"]["properties"]
    properties = {name: {**_not_null(generated[name]), "description": text} for name, text in ATTRIBUTES.items()}
    return {
        "title": "CloudEvent",
        "description": "One event as a CloudEvents 1.0 JSON object.",
        "type": "object",
        "properties": properties,
        "required": list(ALWAYS),
    }


def _not_null(schema: Schema) -> dict[str, Any]:
    options: list[Schema] = schema.get("anyOf", [schema])
    return next(option for option in options if option.get("type") != "null")
