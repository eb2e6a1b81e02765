"""Examples of messages: a value that fits the payload's schema, encoded as real messages are.

The example is the same for the same schema, so that a document changes only when the system does.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from domainstream.event import EventEncoder, read_message
from domainstream.event.payload_codec import payload_codec_of
from domainstream.telemetry import Signal, emit
from domainstream.tools.docgen.schemas import Schema
from domainstream.tools.docgen.system import EventClass
from domainstream.tools.docgen.words import REFERENCE

_ID: Final = "019b7ca9-8c88-7000-8000-000000000001"
_WHEN: Final = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
_TEXTS: Final = {
    "date-time": "2026-01-02T03:04:05Z",
    "date": "2026-01-02",
    "time": "03:04:05Z",
    "partial-time": "03:04:05",
    "duration": "PT90S",
    "uuid": _ID,
    "decimal": "12.50",
    "email": "somebody@example.org",
    "uri": "https://example.org",
}
_SIMPLE: Final = {"boolean": True, "null": None}


def example_message(event: EventClass, service: str, payload: Schema, components: Mapping[str, Schema]) -> str | None:
    """Return a message as indented JSON; None for a payload that cannot be made from its schema alone."""
    aggregate = "example-1"
    try:
        value = _example_of(payload, components)
        codec = payload_codec_of(event)
        envelope = {"specversion": "1.0", "id": _ID, "source": "", "type": codec.event_type, "time": _WHEN}
        message = read_message(msgspec.json.encode({**envelope, "subject": aggregate, "data": value}))
        made: Any = event(
            aggregate_id=aggregate,
            payload=codec.read(message, message.data),
            id=_ID,
            occurred_at=_WHEN,
            correlation_id=None,
            causation_id=None,
        )
        return json.dumps(json.loads(EventEncoder(service).encode(made)), indent=2, ensure_ascii=False, allow_nan=False)
    except Exception as error:  # noqa: BLE001 - a payload type may require anything, and run any code of the user's
        # The document is useful without an example; `Meta(examples=[...])` on the field supplies one.
        emit(Signal.DOCS_EXAMPLE_MISSING, event=event.__name__, error=type(error).__name__)
        return None


class _EndlessError(Exception):
    """A type that contains itself, so that no value of it is finite."""


def _example_of(schema: Any, components: Mapping[str, Schema], name: str = "text", inside: tuple[str, ...] = ()) -> Any:
    """Return a value that fits `schema`; raise `_EndlessError` where there is none.

    `name` is the field's name, `inside` the components around it.
    """
    if not isinstance(schema, Mapping):
        return None
    if "$ref" in schema:
        component = schema["$ref"].removeprefix(REFERENCE)
        if component in inside:
            raise _EndlessError
        return _example_of(components[component], components, name, (*inside, component))
    constants = [schema["const"]] if "const" in schema else schema.get("enum", ())
    given = [*schema.get("examples", ()), *constants, schema.get("default")]
    if (chosen := next((value for value in given if value is not None), None)) is not None:
        return chosen
    for key in ("anyOf", "oneOf", "allOf"):
        if key in schema:
            return _first(schema[key], components, name, inside)
    return _by_kind(schema, components, name, inside)


def _first(options: list[Any], components: Mapping[str, Schema], name: str, inside: tuple[str, ...]) -> Any:
    """Return a value of the first option that has one; null is tried last."""
    for option in sorted(options, key=lambda option: option == {"type": "null"}):
        try:
            return _example_of(option, components, name, inside)
        except _EndlessError:
            continue
    raise _EndlessError


def _by_kind(schema: Mapping[str, Any], components: Mapping[str, Schema], name: str, inside: tuple[str, ...]) -> Any:
    kind = schema.get("type")
    if kind == "object":
        fields = schema.get("properties", {}).items()
        return {key: _example_of(field, components, key, inside) for key, field in fields}
    if kind == "array":
        items = schema.get("items", {})
        if isinstance(items, list):
            return [_example_of(item, components, name, inside) for item in items]
        try:
            return [_example_of(items, components, name, inside)]
        except _EndlessError:
            return []
    if kind in {"integer", "number"}:
        return _number(schema, 1 if kind == "integer" else 0.5)
    return _text(schema, name) if kind == "string" else _SIMPLE.get(str(kind))


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
