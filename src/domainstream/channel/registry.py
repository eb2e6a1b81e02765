"""Joins channels, mappers and subscriptions, to check that they match and to answer who publishes and who listens.

Mappers and subscriptions belong to later stages, which this one must not import. So they are passed as plain data: a
mapper as the channel of each of its event classes (the result of `verify_mapper`), subscriptions as the queues of each
channel.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Self

from domainstream.channel.event_publisher_channel import EventPublisherChannel
from domainstream.errors import RegistryError
from domainstream.event import BaseEvent

EventClass = type[BaseEvent[Any]]
Mapped = Mapping[EventClass, EventPublisherChannel | None]
"""The channel of each event class of a service; None for events that stay inside the service."""


class ChannelRegistry:
    """Every channel of the system with its publisher and its listeners; built once, at start-up, and frozen.

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
        handlers: Mapping[EventPublisherChannel, tuple[object, ...]],
    ) -> None:
        self._channels = tuple(channels)
        self._publishers = MappingProxyType(dict(publishers))
        self._handlers = MappingProxyType(dict(handlers))

    @classmethod
    def build(
        cls,
        channels: type[EventPublisherChannel],
        *,
        mappers: Mapping[str, Mapped],
        subscriptions: Mapping[Any, Iterable[object]],
    ) -> Self:
        """Join the three; raises `RegistryError` that lists every mismatch.

        `mappers` maps each service to its verified mapper, `subscriptions` each channel of the enum to its handlers.
        """
        problems = [*_publisher_problems(channels, mappers), *_subscription_problems(channels, subscriptions)]
        if problems:
            raise RegistryError(f"{channels.__name__}, mappers and subscriptions do not match:", problems)
        publishers = {channel: (service, event) for service, event, channel in _published(mappers)}
        return cls(channels, publishers, {channel: tuple(subscriptions[channel]) for channel in channels})

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
        """Return the listeners of `channel` as `queue:job`; empty if it has none yet."""
        return tuple(str(handler) for handler in self._handlers[channel])

    def handlers_of(self, channel: EventPublisherChannel) -> tuple[object, ...]:
        """Return the same as the subscriptions have them: `QueueHandler` objects, if they are made by `to_queue`."""
        return self._handlers[channel]

    @property
    def without_publisher(self) -> tuple[EventPublisherChannel, ...]:
        """The channels that no service publishes to."""
        return tuple(channel for channel in self._channels if channel not in self._publishers)

    @property
    def without_listeners(self) -> tuple[EventPublisherChannel, ...]:
        """The channels without a listener."""
        return tuple(channel for channel in self._channels if not self._handlers[channel])


def _published(mappers: Mapping[str, Mapped]) -> Iterable[tuple[str, EventClass, EventPublisherChannel]]:
    for service, mapped in mappers.items():
        for event, channel in mapped.items():
            if channel is not None:
                yield service, event, channel


def _publisher_problems(channels: type[EventPublisherChannel], mappers: Mapping[str, Mapped]) -> Iterable[str]:
    seen: dict[EventPublisherChannel, str] = {}
    for service, event, channel in _published(mappers):
        publisher = f"{event.__name__} of {service}"
        if not isinstance(channel, channels):
            yield f"{publisher} is mapped to {channel}, which is not in {channels.__name__}; add it to the enum"
        elif channel.service != service:
            yield (
                f"{publisher} is mapped to {channel.name}, a channel of {channel.service}; "
                "use a channel of its own service"
            )
        if channel in seen:
            yield f"both {seen[channel]} and {publisher} are mapped to {channel}; use one channel per event"
        seen[channel] = publisher


def _subscription_problems(channels: type[EventPublisherChannel], subscriptions: Mapping[Any, object]) -> Iterable[str]:
    for channel in channels:
        if channel not in subscriptions:
            yield f"{channel.name} is missing from the subscriptions; add: {channels.__name__}.{channel.name}: [],"
    for channel in subscriptions:
        if channel not in tuple(channels):
            yield f"the subscriptions name {channel!r}, which is not a channel of {channels.__name__}; remove the line"
