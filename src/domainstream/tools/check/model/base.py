"""A system as its files describe it: what the rules look at. Built by `project`; next: the rules. Pure.

A `symbol` is a class's dotted name, such as `coding.domain_layer.stay.stay_events.StayCreated`, wherever it is imported
from. What a file says in a way that cannot be understood without running it is None, or missing, and no rule speaks of
it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from domainstream.tools.check.findings import Place
from domainstream.tools.check.model.domain import (
    Channel,
    ChannelEnum,
    Event,
    EventUnion,
    LayerBreach,
    NaiveCall,
    Shape,
    Upcasters,
)
from domainstream.tools.check.model.flow import Consumer, Mapper, SubscriptionMap
from domainstream.tools.check.settings import CheckSettings
from domainstream.tools.check.snapshots.model import EventSnapshot


@dataclass(frozen=True, slots=True)
class Service:
    """A service's Python package.

    Attributes:
        name: Its folder's name.

        path: Its folder, relative to the root.

        aggregates: The folders of its domain layer.

        names_channels: Whether any of its files names an enum of channels.
    """

    name: str
    path: str
    aggregates: tuple[str, ...]
    names_channels: bool


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file that cannot be understood at all.

    Attributes:
        why: What stands in the way.

        fix: What to do.

        place: Where it is.
    """

    why: str
    fix: str
    place: Place


@dataclass(frozen=True, slots=True)
class IgnoreComment:
    """A comment that says which rules do not apply to a line.

    Attributes:
        codes: The rules; empty where it names none.

        reason: Why; empty where it does not say.

        line: The line that it is about.

        place: Where it stands.
    """

    codes: tuple[str, ...]
    reason: str
    line: int
    place: Place


@dataclass(frozen=True, eq=False)
class Project:
    """A system, as its files describe it. Two are equal only when they are the same one.

    Attributes:
        root: Its folder.

        settings: Where its parts lie.

        services: The services found.

        enums: The enums of channels.

        has_channels: Whether the files of channels speak of `EventPublisherChannel` at all.

        events: The event classes of all services.

        unions: The services' unions of events.

        mappers: The services' mappers.

        subscription_maps: The calls of `create_multiple_handlers`.

        consumers: The consumers, of services and packages.

        upcasters: The chains of upcasters.

        shapes: What payloads are made of, by symbol.

        naive_calls: Calls that put naive datetimes into payloads.

        breaches: Imports that domain layers must not have.

        snapshots: The committed snapshots of payloads by event type; None when there are none.

        unreadable: Files that could not be understood.

        ignores: Comments that say which rules do not apply to a line.
    """

    root: Path
    settings: CheckSettings
    services: tuple[Service, ...] = ()
    enums: tuple[ChannelEnum, ...] = ()
    has_channels: bool = False
    events: tuple[Event, ...] = ()
    unions: tuple[EventUnion, ...] = ()
    mappers: tuple[Mapper, ...] = ()
    subscription_maps: tuple[SubscriptionMap, ...] = ()
    consumers: tuple[Consumer, ...] = ()
    upcasters: tuple[Upcasters, ...] = ()
    shapes: Mapping[str, Shape] = field(default_factory=dict)
    naive_calls: tuple[NaiveCall, ...] = ()
    breaches: tuple[LayerBreach, ...] = ()
    snapshots: Mapping[str, EventSnapshot] | None = None
    unreadable: tuple[Unreadable, ...] = ()
    ignores: tuple[IgnoreComment, ...] = ()

    @cached_property
    def broken_services(self) -> frozenset[str]:
        """The services of which a file could not be understood: what seems to be missing may stand there."""
        paths = [file.place.path for file in self.unreadable]
        return frozenset(one.name for one in self.services if any(path.startswith(f"{one.path}/") for path in paths))

    @cached_property
    def event_by_symbol(self) -> Mapping[str, Event]:
        """The events by symbol."""
        return {event.symbol: event for event in self.events}

    @cached_property
    def channel_by_name(self) -> Mapping[str, Channel]:
        """The channels of all enums by name."""
        return {channel.name: channel for enum in self.enums for channel in enum.channels}
