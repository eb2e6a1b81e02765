"""The AsyncAPI document of a system: its channels, operations and messages.

Source of the format: https://www.asyncapi.com/docs/reference/specification/v3.0.0, which 3.1.0 extends.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Any, Final

from domainstream.event.message import schema_of
from domainstream.tools.docgen.docstrings import parse_docstring
from domainstream.tools.docgen.examples import example_message
from domainstream.tools.docgen.schemas import Schema, Schemas, envelope_schema, schemas_of
from domainstream.tools.docgen.system import DocumentedChannel, EventClass, events_of
from domainstream.tools.docgen.words import REFERENCE

SPECIFICATIONS: Final = ("3.0.0", "3.1.0")
_CONTENT_TYPE: Final = "application/cloudevents+json"
_ENVELOPE: Final = "domainstream.CloudEvent"
"""The envelope's component; the dot keeps it apart from the names of classes."""


def asyncapi_document(channels: Iterable[DocumentedChannel], *, spec: str, title: str, release: str) -> Schema:
    """Return the document of the whole system; `release` is the version of the document itself."""
    documented = tuple(channels)
    schemas = schemas_of(events_of(documented))
    return {
        "asyncapi": spec,
        "info": {"title": title, "version": release, "description": "Domain events on Redis Streams."},
        "defaultContentType": _CONTENT_TYPE,
        "channels": {channel.value: _channel(channel) for channel in documented},
        "operations": {name: operation for channel in documented for name, operation in _operations(channel)},
        "components": {
            "messages": {
                message_name(channel, event): _message(channel, event, schemas)
                for channel in documented
                for event in channel.events
            },
            "schemas": {_ENVELOPE: envelope_schema(), **schemas.components},
        },
    }


def message_name(channel: DocumentedChannel, event: EventClass) -> str:
    """Return the name of a message within the document; several messages may share a channel."""
    return channel.value if len(channel.events) == 1 else f"{channel.value}.{event.__name__}"


def _channel(channel: DocumentedChannel) -> dict[str, Any]:
    names = [message_name(channel, event) for event in channel.events]
    missing = [] if channel.publisher else ["No service publishes to it."]
    missing += [] if channel.handlers else ["No queue is subscribed to it."]
    partitions = channel.channel.partitions
    spread = f"{partitions} Redis streams, by partition key" if partitions > 1 else "A Redis stream"
    return {
        "address": channel.value,
        "title": channel.channel.name,
        "description": " ".join(missing) or f"{spread}; {channel.publisher} publishes to it.",
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names},
        "bindings": {"redis": {}},
        **({"x-partitions": partitions} if partitions > 1 else {}),
    }


def _operations(channel: DocumentedChannel) -> Iterator[tuple[str, dict[str, Any]]]:
    if channel.publisher:
        details: dict[str, Any] = {"title": f"{channel.publisher} publishes", "tags": [{"name": channel.publisher}]}
        yield f"{channel.publisher}.send.{channel.value}", _operation("send", channel, details)
    for handler in channel.handlers:
        queue, job = handler.queue, handler.job
        partitions = {"partitions": list(handler.queues)} if handler.partitions > 1 else {}
        by = handler.order
        order = {"order": {"by": by.by, "onFailure": by.on_failure}} if by else {}
        details = {
            "title": f"{queue} gets the job {job}",
            **({"description": str(by)} if by else {}),
            "tags": [{"name": queue}],
            "x-bullmq": {"queue": queue, "job": job, **partitions, **order},
        }
        yield f"{queue}.{job}.receive.{channel.value}", _operation("receive", channel, details)


def _operation(action: str, channel: DocumentedChannel, details: dict[str, Any]) -> dict[str, Any]:
    here = f"#/channels/{channel.value}"
    messages = [{"$ref": f"{here}/messages/{message_name(channel, event)}"} for event in channel.events]
    return {
        "action": action,
        "channel": {"$ref": here},
        **details,
        "messages": messages,
        "bindings": {"redis": {}},
    }


def _message(channel: DocumentedChannel, event: EventClass, schemas: Schemas) -> dict[str, Any]:
    service = channel.publisher or channel.channel.service
    example = example_message(event, service, schemas.payloads[event], schemas.components)
    return {
        "name": channel.value,
        "title": event.__name__,
        "description": parse_docstring(event.__doc__ or "").description,
        "contentType": _CONTENT_TYPE,
        "correlationId": {"location": "$message.payload#/correlationid"},
        "payload": {
            "allOf": [
                {"$ref": f"{REFERENCE}{_ENVELOPE}"},
                {
                    "type": "object",
                    "properties": {
                        "source": {"const": f"/services/{channel.publisher}"},
                        "type": {"const": channel.value},
                        "dataschema": {"const": schema_of(channel.value, event.version)},
                        "data": schemas.payloads[event],
                    },
                },
            ]
        },
        "bindings": {"redis": {}},
        **({"examples": [{"payload": json.loads(example)}]} if example else {}),
    }
