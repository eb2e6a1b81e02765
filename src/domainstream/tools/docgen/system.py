"""What the documents say about a system, read from its registry."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from domainstream.channel import ChannelRegistry, EventPublisherChannel
from domainstream.event import BaseEvent

EventClass = type[BaseEvent[Any]]


class QueueHandler(NamedTuple):
    """A queue that gets a job for each event of a channel."""

    queue: str
    """The queue's name."""

    job: str
    """The name of its jobs."""


@dataclass(frozen=True, slots=True)
class DocumentedChannel:
    """A channel, who publishes to it, and who handles its events."""

    channel: EventPublisherChannel
    """The member of the enum."""

    publisher: str | None
    """The service that publishes to it; None where none does."""

    events: tuple[EventClass, ...]
    """The classes of its events; empty without a publisher."""

    handlers: tuple[QueueHandler, ...]
    """The queues that are subscribed to it, and their jobs; sorted."""

    @property
    def value(self) -> str:
        """The channel's value, which is the type of its events."""
        return self.channel.value


def documented_channels(registry: ChannelRegistry) -> tuple[DocumentedChannel, ...]:
    """Return every channel, sorted by its value, so that a document differs only where the system does."""
    return tuple(
        _documented(registry, channel) for channel in sorted(registry.channels, key=lambda channel: channel.value)
    )


def _documented(registry: ChannelRegistry, channel: EventPublisherChannel) -> DocumentedChannel:
    event = registry.event_of(channel)
    handlers = sorted(QueueHandler(*name.split(":", 1)) for name in registry.listeners_of(channel))
    return DocumentedChannel(channel, registry.publisher_of(channel), () if event is None else (event,), (*handlers,))


def events_of(channels: Iterable[DocumentedChannel]) -> tuple[EventClass, ...]:
    """Return the classes of all events, in the order of their channels."""
    return tuple(event for channel in channels for event in channel.events)
