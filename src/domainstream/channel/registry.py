"""Who publishes to each channel, who listens, and what nobody does. Built once, at start-up.

Mappers and subscriptions belong to later stages of the arrow, so they come here as plain facts: a mapper as which
channel each of its event classes goes to (what `verify_mapper` returns), subscriptions as the queues of each channel.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Self

from domainstream.channel.event_publisher_channel import EventPublisherChannel
from domainstream.errors import RegistryError
from domainstream.event import BaseEvent

EventClass = type[BaseEvent[Any]]
Mapped = Mapping[EventClass, EventPublisherChannel | None]
"""Which channel each event class of a service goes to; None for those that stay inside."""


class ChannelRegistry:
    """The channels of the whole system and what stands at both of their ends; frozen.

    Usage::

        registry = ChannelRegistry.build(
            Channel,
            mappers={"coding": verify_mapper(coding_channel_for), "valuation": verify_mapper(valuation_channel_for)},
            subscriptions=subscriptions,
        )
    """

    def __init__(
        self,
        channels: Iterable[EventPublisherChannel],
        publishers: Mapping[EventPublisherChannel, tuple[str, EventClass]],
        listeners: Mapping[EventPublisherChannel, tuple[str, ...]],
    ) -> None:
        self._channels = tuple(channels)
        self._publishers = MappingProxyType(dict(publishers))
        self._listeners = MappingProxyType(dict(listeners))

    @classmethod
    def build(
        cls,
        channels: type[EventPublisherChannel],
        *,
        mappers: Mapping[str, Mapped],
        subscriptions: Mapping[Any, Iterable[object]],
    ) -> Self:
        """Join the three, raising `RegistryError` with everything that does not fit.

        `mappers` holds a mapping per service; `subscriptions` holds the handlers of every channel of the enum.
        """
        problems = [*_wrong_publishers(channels, mappers), *_wrong_subscriptions(channels, subscriptions)]
        if problems:
            raise RegistryError(f"{channels.__name__}, mappers and subscriptions do not fit together:", problems)
        publishers = {channel: (service, event) for service, event, channel in _published(mappers)}
        listeners = {channel: tuple(str(handler) for handler in subscriptions[channel]) for channel in channels}
        return cls(channels, publishers, listeners)

    @property
    def channels(self) -> tuple[EventPublisherChannel, ...]:
        """Every channel of the system, in the enum's order."""
        return self._channels

    def publisher_of(self, channel: EventPublisherChannel) -> str | None:
        """Return the service that publishes to `channel`, or None."""
        return self._publishers[channel][0] if channel in self._publishers else None

    def event_of(self, channel: EventPublisherChannel) -> EventClass | None:
        """Return the event class that is published to `channel`, or None."""
        return self._publishers[channel][1] if channel in self._publishers else None

    def listeners_of(self, channel: EventPublisherChannel) -> tuple[str, ...]:
        """Return who listens to `channel`, as `queue:job`; empty where nobody does yet."""
        return self._listeners[channel]

    @property
    def unpublished(self) -> tuple[EventPublisherChannel, ...]:
        """Channels that no service publishes to."""
        return tuple(channel for channel in self._channels if channel not in self._publishers)

    @property
    def unheard(self) -> tuple[EventPublisherChannel, ...]:
        """Channels that nobody listens to yet."""
        return tuple(channel for channel in self._channels if not self._listeners[channel])

    @property
    def orphans(self) -> tuple[EventPublisherChannel, ...]:
        """Channels with nobody at either end."""
        return tuple(channel for channel in self.unpublished if channel in self.unheard)


def _published(mappers: Mapping[str, Mapped]) -> Iterable[tuple[str, EventClass, EventPublisherChannel]]:
    for service, mapped in mappers.items():
        for event, channel in mapped.items():
            if channel is not None:
                yield service, event, channel


def _wrong_publishers(channels: type[EventPublisherChannel], mappers: Mapping[str, Mapped]) -> Iterable[str]:
    seen: dict[EventPublisherChannel, str] = {}
    for service, event, channel in _published(mappers):
        who = f"{event.__name__} of {service}"
        if not isinstance(channel, channels):
            yield f"{who} goes to {channel}, which is not a channel of {channels.__name__}; add it to the enum"
        elif channel.service != service:
            yield f"{who} goes to {channel.name}, a channel of {channel.service}; give it a channel of its own service"
        if channel in seen:
            yield f"{channel} is given both {seen[channel]} and {who}; give each event a channel of its own"
        seen[channel] = who


def _wrong_subscriptions(channels: type[EventPublisherChannel], subscriptions: Mapping[Any, object]) -> Iterable[str]:
    for channel in channels:
        if channel not in subscriptions:
            yield f"{channel.name} is missing from the subscriptions; add: {channels.__name__}.{channel.name}: [],"
    for channel in subscriptions:
        if channel not in tuple(channels):
            yield f"the subscriptions name {channel!r}, which is not a channel of {channels.__name__}; remove the line"
