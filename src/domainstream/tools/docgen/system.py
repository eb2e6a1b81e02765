"""What the documents say about a system, read from its registry."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from domainstream.channel import ChannelRegistry, EventPublisherChannel
from domainstream.event import BaseEvent

EventClass = type[BaseEvent[Any]]


class Listener(NamedTuple):
    """A queue that gets a job for each event of a channel."""

    queue: str
    """The queue's name."""

    job: str
    """The name of its jobs."""


@dataclass(frozen=True, slots=True)
class DocumentedChannel:
    """A channel and what stands at both of its ends."""

    channel: EventPublisherChannel
    """The member of the enum."""

    publisher: str | None
    """The service that publishes to it; None where none does."""

    events: tuple[EventClass, ...]
    """The classes of its events; empty where nobody publishes."""

    listeners: tuple[Listener, ...]
    """Who gets its events; empty where nobody does yet."""

    @property
    def value(self) -> str:
        """The channel's value, which is the type of its events."""
        return self.channel.value


def documented_channels(registry: ChannelRegistry) -> tuple[DocumentedChannel, ...]:
    """Return every channel, sorted by its value, so that a document differs only where the system does."""
    return tuple(_documented(registry, channel) for channel in sorted(registry.channels, key=lambda one: one.value))


def events_of(channels: Iterable[DocumentedChannel]) -> tuple[EventClass, ...]:
    """Return the classes of all events, in the order of their channels."""
    return tuple(event for channel in channels for event in channel.events)


def _documented(registry: ChannelRegistry, channel: EventPublisherChannel) -> DocumentedChannel:
    event = registry.event_of(channel)
    listeners = sorted(Listener(*name.split(":", 1)) for name in registry.listeners_of(channel))
    return DocumentedChannel(channel, registry.publisher_of(channel), () if event is None else (event,), (*listeners,))
