"""The catalogue of a system: one HTML page that works offline."""

from base64 import b64encode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from domainstream.tools.docgen.docstrings import parse_docstring
from domainstream.tools.docgen.examples import example_message
from domainstream.tools.docgen.schemas import REFERENCE, Schema, Schemas, schemas_of
from domainstream.tools.docgen.system import DocumentedChannel, QueueHandler, events_of
from domainstream.tools.docgen.typescript import TypeWriter


class Field(NamedTuple):
    """A row of a payload's table."""

    name: str
    """The field's name on the wire."""

    type: str
    """Its type in TypeScript."""

    required: bool
    """Whether every payload has it."""

    description: str
    """What its documentation says; empty without any."""


class Table(NamedTuple):
    """The fields of a payload, or of a type within one."""

    name: str
    """The name of the type."""

    fields: tuple[Field, ...]
    """One row per field."""


class Message(NamedTuple):
    """An event class of a channel."""

    name: str
    """The name of the class."""

    version: int
    """The version of its payload."""

    description: str
    """What the docstring of the class says."""

    tables: tuple[Table, ...]
    """The payload's fields, then those of each type within it."""

    example: str | None
    """A message as indented JSON; None where no example could be made."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A channel of the catalogue."""

    value: str
    """The channel's value."""

    publisher: str | None
    """The service that publishes to it; None where none does."""

    handlers: tuple[QueueHandler, ...]
    """The queues that are subscribed to it, and their jobs."""

    messages: tuple[Message, ...]
    """Its event classes."""

    partitions: int
    """Over how many streams it is spread."""

    @property
    def in_order(self) -> bool:
        """Whether the jobs of any queue are handled in order."""
        return any(handler.order for handler in self.handlers)


def catalog_of(channels: Iterable[DocumentedChannel], *, title: str) -> str:
    """Return the page."""
    documented = tuple(channels)
    schemas = schemas_of(events_of(documented))
    environment = Environment(
        loader=PackageLoader("domainstream.tools.docgen", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    script, _, _ = environment.loader.get_source(environment, "catalog.js")  # type: ignore[union-attr]  # set above
    entries = [_entry(channel, schemas) for channel in documented]
    # Only this script may run, even if a docstring ever gets past the escaping.
    digest = b64encode(sha256(script.encode()).digest()).decode()
    page = environment.get_template("catalog.html.jinja")
    return page.render(title=title, channels=entries, script=Markup(script), script_hash=digest) + "\n"  # noqa: S704


def _entry(channel: DocumentedChannel, schemas: Schemas) -> Entry:
    service = channel.publisher or channel.channel.service
    messages = []
    for event in channel.events:
        payload = schemas.payloads[event]
        description = parse_docstring(event.__doc__ or "").description
        example = example_message(event, service, payload, schemas.components)
        messages.append(Message(event.__name__, event.version, description, tuple(_tables(payload, schemas)), example))
    partitions = channel.channel.partitions
    return Entry(channel.value, channel.publisher, channel.handlers, tuple(messages), partitions)


def _tables(payload: Schema, schemas: Schemas) -> Iterator[Table]:
    """Yield the payload's table, then one for each type within it."""
    writer = TypeWriter(schemas.components)
    waiting, seen = [payload], set[str]()
    while waiting:
        schema = waiting.pop(0)
        if "$ref" in schema:
            schema = schemas.components[schema["$ref"].removeprefix(REFERENCE)]
        name = str(schema.get("title", "Payload"))
        if name in seen or not schema.get("properties"):
            continue
        seen.add(name)
        fields = []
        for key, field in schema["properties"].items():
            description = field.get("description", "") if isinstance(field, dict) else ""
            fields.append(Field(key, writer.type_of(field), key in schema.get("required", ()), description))
        yield Table(name, tuple(fields))
        waiting += _references(schema)


def _references(schema: Any) -> Iterator[Schema]:
    if isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):
            yield {"$ref": schema["$ref"]}
        for part in schema.values():
            yield from _references(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from _references(part)
