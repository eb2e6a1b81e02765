"""What a system's domain layers and channels say: part of `model`. Before: `findings`; next: `flow_model`. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from domainstream.tools.check.findings import Place


@dataclass(frozen=True, slots=True)
class Channel:
    """A member of an enum of channels.

    Attributes:
        name: Its name.

        value: Its value; None when that is not a plain text.

        place: Where it stands.
    """

    name: str
    value: str | None
    place: Place


@dataclass(frozen=True, slots=True)
class ChannelEnum:
    """An enum of channels.

    Attributes:
        symbol: Its dotted name.

        channels: Its members, in their order.

        services: What `services=` says: the aggregates of each service; None where it is not given or not plain.

        place: Where its class stands.
    """

    symbol: str
    channels: tuple[Channel, ...]
    services: Mapping[str, tuple[str, ...]] | None
    place: Place

    @property
    def name(self) -> str:
        """The class's name."""
        return self.symbol.rpartition(".")[2]


@dataclass(frozen=True, slots=True)
class Event:
    """An event class.

    Attributes:
        symbol: Its dotted name.

        service: The service it stands in.

        aggregate: The folder of the domain layer that it stands in; None outside of such a folder.

        event_type: Its type's value; None when it has none, or none that is plain.

        has_type: Whether it says its type at all.

        version: Its version; None when that is not a plain number.

        final: Whether it is marked `@final`.

        payload: The symbol of its payload; None when that is not plain.

        place: Where its class stands.
    """

    symbol: str
    service: str
    aggregate: str | None
    event_type: str | None
    has_type: bool
    version: int | None
    final: bool
    payload: str | None
    place: Place

    @property
    def name(self) -> str:
        """The class's name."""
        return self.symbol.rpartition(".")[2]


@dataclass(frozen=True, slots=True)
class EventUnion:
    """A service's union of events.

    Attributes:
        symbol: Its dotted name.

        service: The service it stands in.

        events: The symbols of its members.

        complete: Whether every member was understood.

        place: Where it stands.
    """

    symbol: str
    service: str
    events: tuple[str, ...]
    complete: bool
    place: Place


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a payload.

    Attributes:
        name: Its name on the wire.

        annotation: Its type in one spelling: unions sorted, `Optional` and `Annotated` undone, names without modules.

        required: Whether it has no default.

        naive: Whether its type takes datetimes without a time zone.

        place: Where it stands.
    """

    name: str
    annotation: str
    required: bool
    naive: bool
    place: Place


@dataclass(frozen=True, slots=True)
class Shape:
    """A class that payloads are made of: a payload, a struct inside of one, or an enum.

    Attributes:
        symbol: Its dotted name.

        fields: Its fields; empty for an enum.

        members: The values of an enum's members; None for a class with fields.

        uses: The symbols of the shapes that its fields name.

        place: Where it stands.
    """

    symbol: str
    fields: tuple[Field, ...]
    members: tuple[str, ...] | None
    uses: tuple[str, ...]
    place: Place

    @property
    def name(self) -> str:
        """The class's name."""
        return self.symbol.rpartition(".")[2]


@dataclass(frozen=True, slots=True)
class Upcasters:
    """A chain of upcasters.

    Attributes:
        event: The symbol of the event class.

        versions: The versions that it leads on from; None when that is not plain.

        place: Where it stands.
    """

    event: str
    versions: tuple[int, ...] | None
    place: Place


@dataclass(frozen=True, slots=True)
class LayerBreach:
    """An import in a domain layer that it must not have.

    Attributes:
        imported: The dotted name that is imported.

        place: Where it stands.
    """

    imported: str
    place: Place


@dataclass(frozen=True, slots=True)
class NaiveCall:
    """A call whose datetime, which has no time zone, goes into a payload.

    Attributes:
        field: The payload's field that it is for.

        call: What makes the datetime, as it is written.

        place: Where it stands.
    """

    field: str
    call: str
    place: Place
