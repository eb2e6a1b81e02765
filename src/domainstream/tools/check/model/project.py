"""A whole system as its files describe it: `project` builds it, the rules look at it.

A `symbol` is a class's dotted name, such as `coding.domain_layer.stay.stay_events.StayCreated`, wherever it is imported
from. What a file says in a way that cannot be understood without running it is None or missing, and no rule reports
it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

from domainstream.tools.check.findings import Location
from domainstream.tools.check.model.contract import EventSnapshot
from domainstream.tools.check.model.domain import (
    Channel,
    ChannelEnum,
    Event,
    EventUnion,
    LayerBreach,
    NaiveCall,
    Shape,
    Uncarried,
    Upcasters,
)
from domainstream.tools.check.model.flow import Consumer, Mapper, SubscriptionMap
from domainstream.tools.check.settings import CheckSettings


@dataclass(frozen=True, slots=True)
class Service:
    """A service's Python package."""

    name: str
    """Its folder's name."""

    path: str
    """Its folder, relative to the root."""

    aggregates: tuple[str, ...]
    """The folders of its domain layer."""

    names_channels: bool
    """Whether any of its files names an enum of channels."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file that cannot be understood at all."""

    why: str
    """Why it cannot be understood."""

    fix: str
    """What to do."""

    location: Location
    """Where it is."""


@dataclass(frozen=True, slots=True)
class Repeated:
    """A definition that has the name, or the value, of an earlier one: the last of two wins."""

    kind: Literal["name", "value"]
    """What is repeated."""

    name: str
    """What is defined: a class, a function, or a member with its class."""

    first: str
    """The earlier one: its line, or its name."""

    location: Location
    """Where the later one is."""


@dataclass(frozen=True, slots=True)
class SnapshotFile:
    """A contract file."""

    path: str
    """Relative to the root, with `/`."""

    format: int
    """The number of its format."""


@dataclass(frozen=True, slots=True)
class IgnoreComment:
    """A comment that says which rules do not apply to a line."""

    codes: tuple[str, ...]
    """The rules; empty where it names none."""

    reason: str
    """Why; empty where it does not say."""

    line: int
    """The line that it is about."""

    location: Location
    """Where it is."""


@dataclass(frozen=True, eq=False)
class Project:
    """A system, as its files describe it. Two are equal only when they are the same one."""

    root: Path
    """Its folder."""

    settings: CheckSettings
    """Where its parts are."""

    services: tuple[Service, ...] = ()
    """The services found."""

    enums: tuple[ChannelEnum, ...] = ()
    """The enums of channels."""

    has_channels: bool = False
    """Whether the files of channels name `EventPublisherChannel` at all."""

    events: tuple[Event, ...] = ()
    """The event classes of all services."""

    readers: tuple[Event, ...] = ()
    """The classes by which services read events of another service."""

    unions: tuple[EventUnion, ...] = ()
    """The services' unions of events."""

    mappers: tuple[Mapper, ...] = ()
    """The services' mappers."""

    subscription_maps: tuple[SubscriptionMap, ...] = ()
    """The calls of `create_multiple_handlers`."""

    consumers: tuple[Consumer, ...] = ()
    """The consumers, of services and packages."""

    upcasters: tuple[Upcasters, ...] = ()
    """The upcasters of the event classes."""

    shapes: Mapping[str, Shape] = field(default_factory=dict)
    """What payloads are made of, by symbol."""

    naive_calls: tuple[NaiveCall, ...] = ()
    """Calls that put naive datetimes into payloads."""

    uncarried: tuple[Uncarried, ...] = ()
    """Fields of events and payloads that no message can carry."""

    breaches: tuple[LayerBreach, ...] = ()
    """Imports that domain layers must not have."""

    snapshots: Mapping[str, EventSnapshot] | None = None
    """The committed snapshots of payloads by event type; None when there are none."""

    snapshot_files: Mapping[str, SnapshotFile] = field(default_factory=dict)
    """The files that they are in, by event type."""

    repeated: tuple[Repeated, ...] = ()
    """Definitions that replace an earlier one."""

    unreadable: tuple[Unreadable, ...] = ()
    """Files that could not be understood."""

    ignores: tuple[IgnoreComment, ...] = ()
    """Comments that say which rules do not apply to a line."""

    @cached_property
    def broken_services(self) -> frozenset[str]:
        """The services with a file that could not be understood: what seems to be missing may be in it."""
        paths = [file.location.path for file in self.unreadable]
        return frozenset(
            service.name for service in self.services if any(path.startswith(f"{service.path}/") for path in paths)
        )

    @cached_property
    def event_by_symbol(self) -> Mapping[str, Event]:
        """The events and readers by symbol."""
        return {event.symbol: event for event in (*self.events, *self.readers)}

    @cached_property
    def partitions(self) -> Mapping[str, int | None]:
        """Over how many streams each channel is spread, by its value; None where that cannot be read."""
        return {
            channel.value: number if isinstance(number, int) else None
            for enum in self.enums
            for channel in enum.channels
            if channel.value is not None
            for number in [None if enum.partitions is None else enum.partitions.get(channel.name, 1)]
        }

    @cached_property
    def channel_by_name(self) -> Mapping[str, Channel]:
        """The channels of all enums by name."""
        return {channel.name: channel for enum in self.enums for channel in enum.channels}
