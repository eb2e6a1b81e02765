"""What the catalogue shows: channels with their flow, their events, and the fields of these in plain words."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from domainstream.tools.docgen.system import QueueHandler
from domainstream.tools.docgen.typescript import TypeWriter
from domainstream.tools.docgen.words import REFERENCE, is_sensitive, words_of

Schema = dict[str, Any]


class Field(NamedTuple):
    """A row of a payload's table."""

    name: str
    """The field's name on the wire."""

    words: str
    """What values it has, in plain words."""

    typescript: str
    """Its type in TypeScript."""

    required: bool
    """Whether every payload has it."""

    sensitive: bool
    """Whether it is marked sensitive."""

    description: str
    """What its documentation says; empty without any."""


class Table(NamedTuple):
    """The fields of a payload, or of a type within one."""

    name: str
    """The name of the type."""

    fields: tuple[Field, ...]
    """One row per field."""

    @property
    def is_described(self) -> bool:
        """Whether the documentation of the code says anything about a field."""
        return any(field.description for field in self.fields)


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
class Receiver:
    """A queue that gets a job for each event of a channel, and what handles the job."""

    queue: QueueHandler
    """The queue and the job."""

    functions: tuple[str, ...] = ()
    """The functions that handle it, with their services, as far as the code says; empty where it is not read."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A channel of the catalogue."""

    value: str
    """The channel's value."""

    publisher: str | None
    """The service that publishes to it; None where none does."""

    receivers: tuple[Receiver, ...]
    """The queues that are subscribed to it, and their jobs."""

    messages: tuple[Message, ...]
    """Its event classes."""

    partitions: int
    """Over how many streams it is spread."""

    @property
    def in_order(self) -> bool:
        """Whether the jobs of any queue are handled in order."""
        return any(receiver.queue.order for receiver in self.receivers)

    @property
    def has_functions(self) -> bool:
        """Whether it is known what handles any of its jobs."""
        return any(receiver.functions for receiver in self.receivers)


def tables_of(payload: Schema, components: Mapping[str, Schema]) -> Iterator[Table]:
    """Yield the payload's table, then one for each type within it."""
    writer = TypeWriter(components)
    waiting, seen = [payload], set[str]()
    while waiting:
        schema = waiting.pop(0)
        if "$ref" in schema:
            schema = components.get(schema["$ref"].removeprefix(REFERENCE), {})
        name = str(schema.get("title", "Payload"))
        if name in seen:
            continue
        seen.add(name)
        fields = []
        for key, field in schema.get("properties", {}).items():
            description = field.get("description", "") if isinstance(field, dict) else ""
            words, required = words_of(field, components), key in schema.get("required", ())
            fields.append(Field(key, words, writer.type_of(field), required, is_sensitive(field), description))
        if fields:
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
