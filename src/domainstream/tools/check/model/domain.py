"""Channels, events and payloads, as the domain layers and contracts define them, and payloads as their snapshots do."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import msgspec

from domainstream.tools.check.findings import Location


@dataclass(frozen=True, slots=True)
class Channel:
    """A member of an enum of channels."""

    name: str
    """Its name."""

    value: str | None
    """Its value; None when that is not a plain text."""

    location: Location
    """Where it is."""


@dataclass(frozen=True, slots=True)
class ChannelEnum:
    """An enum of channels."""

    symbol: str
    """Its dotted name."""

    channels: tuple[Channel, ...]
    """Its members, in their order."""

    services: Mapping[str, tuple[str, ...]] | None
    """What `services=` says: the aggregates of each service; None where it is not given or not plain."""

    location: Location
    """Where its class is."""

    @property
    def name(self) -> str:
        """The class's name."""
        return self.symbol.rpartition(".")[2]


@dataclass(frozen=True, slots=True)
class Event:
    """An event class."""

    symbol: str
    """Its dotted name."""

    service: str
    """The service it is in."""

    aggregate: str | None
    """The folder of the domain layer that it is in; None outside such a folder."""

    event_type: str | None
    """Its type's value; None when it has none, or none that is plain."""

    has_type: bool
    """Whether it says its type at all."""

    version: int | None
    """Its version; None when that is not a plain number."""

    final: bool
    """Whether it is marked `@final`."""

    payload: str | None
    """The symbol of its payload; None when that is not plain."""

    location: Location
    """Where its class is."""

    @property
    def name(self) -> str:
        """The class's name."""
        return self.symbol.rpartition(".")[2]


@dataclass(frozen=True, slots=True)
class EventUnion:
    """A service's union of events."""

    symbol: str
    """Its dotted name."""

    service: str
    """The service it is in."""

    events: tuple[str, ...]
    """The symbols of its members."""

    complete: bool
    """Whether every member was understood."""

    location: Location
    """Where it is."""


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a payload."""

    name: str
    """Its name on the wire."""

    annotation: str
    """Its type in one spelling: unions sorted, `Optional` and `Annotated` undone, names without modules."""

    required: bool
    """Whether it has no default."""

    naive: bool
    """Whether its type takes datetimes without a time zone."""

    location: Location
    """Where it is."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A class that payloads are made of: a payload, a struct inside of one, or an enum."""

    symbol: str
    """Its dotted name."""

    fields: tuple[Field, ...]
    """Its fields; empty for an enum."""

    members: tuple[str, ...] | None
    """The values of an enum's members; None for a class with fields."""

    uses: tuple[str, ...]
    """The symbols of the shapes that its fields name."""

    location: Location
    """Where it is."""

    @property
    def name(self) -> str:
        """The class's name."""
        return self.symbol.rpartition(".")[2]


@dataclass(frozen=True, slots=True)
class Upcasters:
    """The upcasters of an event class."""

    event: str
    """The symbol of the event class."""

    versions: tuple[int, ...] | None
    """The versions that it leads on from; None when that is not plain."""

    location: Location
    """Where it is."""


@dataclass(frozen=True, slots=True)
class LayerBreach:
    """An import in a domain layer that it must not have."""

    imported: str
    """The dotted name that is imported."""

    location: Location
    """Where it is."""


@dataclass(frozen=True, slots=True)
class NaiveCall:
    """A call whose datetime, which has no time zone, goes into a payload."""

    field: str
    """The payload's field that it is for."""

    call: str
    """What makes the datetime, as it is written."""

    location: Location
    """Where it is."""


@dataclass(frozen=True, slots=True)
class Uncarried:
    """A field that no message can carry."""

    kind: Literal["field", "type"]
    """Whether the envelope has no place for it, or its type cannot be written."""

    problem: str
    """What is wrong with it."""

    fix: str
    """What to do."""

    location: Location
    """Where it is."""


class FieldSnapshot(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A field as it was."""

    type: str
    """Its type, as `reading.payloads.TypeNormalizer` writes it."""

    required: bool = True
    """Whether it had no default."""


class ShapeSnapshot(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A class that a payload is made of, as it was."""

    fields: dict[str, FieldSnapshot] = {}
    """Its fields; empty for an enum."""

    members: list[str] | None = None
    """The values of an enum, sorted; None for a class with fields."""


class EventSnapshot(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An event as it was."""

    event: str
    """The class's name."""

    version: int
    """Its version."""

    payload: str
    """The name of its payload."""

    types: dict[str, ShapeSnapshot]
    """What the payload is made of, by name."""
