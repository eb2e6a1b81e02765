"""Channels, events and payloads, as the domain layers and contracts define them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from domainstream.tools.check.findings import Location

Constraints = Mapping[str, Mapping[str, bool | int | float | str]]
"""What values must satisfy, such as `{"[]": {"ge": 1}}`, by where in the type they are: "" is the value itself, "[]" is
each item, "[0]" the first one, "{}" each value of an object, "{key}" each of its keys; "[][]" is an item of an item."""


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

    partitions: Mapping[str, int] | None
    """What `partitions=` says: over how many streams which channel is spread; None where it is not plain."""

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
    """The name that is written on the wire."""

    annotation: str
    """Its type in one spelling: unions sorted, `Optional` and `Annotated` undone, names without modules."""

    required: bool
    """Whether it has no default."""

    naive: bool
    """Whether its type takes datetimes without a time zone."""

    location: Location
    """Where it is."""

    constraints: Constraints = field(default_factory=dict)
    """What its values must satisfy."""

    reads: tuple[str, ...] = ()
    """The names under which it is read, where that is not its name alone."""

    attribute: str = ""
    """Its name in Python."""

    argument: str = ""
    """The keyword by which its class takes it."""

    first_format_name: str = ""
    """Its name in snapshots of format 1, which did not know `rename=`; empty for a private field, which those lack."""

    sensitive: bool = False
    """Whether it, or a part of its type, is marked sensitive."""


class Tag(NamedTuple):
    """What distinguishes the classes of a union on the wire."""

    field: str
    """The name of the field that holds it; in an array it is the first element instead."""

    value: int | str
    """What that holds for this class."""


@dataclass(frozen=True, slots=True)
class WireForm:
    """How a class is written, besides the types of its fields."""

    array: bool = False
    """Whether it is an array of its fields' values instead of an object."""

    tag: Tag | None = None
    """What distinguishes it from other classes."""

    closed: bool = False
    """Whether it cannot be read where it has a field more."""

    computed: tuple[str, ...] = ()
    """Options whose value only running the code gives, such as "rename=name_of"."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A class that payloads are made of: a payload, a struct inside of one, or an enum."""

    symbol: str
    """Its dotted name."""

    fields: tuple[Field, ...]
    """Its fields, in the order in which they are written; empty for an enum."""

    members: tuple[int | str, ...] | None
    """The values of an enum's members, as they are spelled where they are not plain; None for a class with fields."""

    uses: tuple[str, ...]
    """The symbols of the shapes that its fields name."""

    location: Location
    """Where it is."""

    form: WireForm = WireForm()
    """How it is written."""

    lenient: bool = False
    """Whether an enum reads values that are none of its members, by `_missing_`."""

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
