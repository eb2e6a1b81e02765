"""Wires the subscriber to Redis Streams and BullMQ."""

from collections.abc import Sequence
from functools import partial
from typing import Final, Self

from redis.asyncio import Redis

from domainstream.publisher import Retention
from domainstream.queue import BullMQForwarder, BullMQQueue, Forwarder, TwoStepForwarder
from domainstream.redis.connection import connect
from domainstream.stream import (
    MaintenanceTask,
    RedisDeadLetters,
    RedisIdleConsumerReaper,
    RedisStreamReader,
    RedisStreamTrimmer,
    check_eviction_at,
)
from domainstream.subscriber.router import JobRouter
from domainstream.subscriber.settings import SubscriberSettings
from domainstream.subscriber.stream_subscriber import StreamSubscriber
from domainstream.subscriber.subscriptions import Subscriptions

DEFAULT_SETTINGS: Final = SubscriberSettings()


class RedisBullMQStreamSubscriber(StreamSubscriber):
    """Delivers the events of Redis Streams to BullMQ queues.

    Usage::

        async with RedisBullMQStreamSubscriber.from_url(url, group="domain-events", subscriptions=subscriptions) as
        subscriber:
            await subscriber.run()

    Any number of instances may share a group; give each its own `consumer` when they share a host. Each has three
    connections, however many the channels: to read, to hand over, and for upkeep.
    """

    @classmethod
    def from_url(
        cls,
        url: str,
        *,
        group: str,
        subscriptions: Subscriptions,
        consumer: str | None = None,
        prefix: str = "",
        bull_prefix: str = "bull",
        settings: SubscriberSettings = DEFAULT_SETTINGS,
    ) -> Self:
        """Return a subscriber with connections of its own; it connects when it runs.

        `group` is the consumer group on every stream; `consumer` names this instance in it, by default after the host.
        `prefix` begins the key of every stream, `bull_prefix` every key of BullMQ.

        Raises `MissingExtraError` without the package `bullmq`, `ConfigurationError` for a URL that is none or an
        empty group. `run` raises `ConfigurationError` when a server evicts.
        """
        client, channels = connect(url), subscriptions.channels
        reader = RedisStreamReader(
            client,
            channels,
            group=group,
            consumer=consumer,
            prefix=prefix,
            settings=settings.reading,
            on_loss=settings.on_loss,
        )
        return cls(
            reader,
            _forwarder(url, reader, settings.queue_url, prefix=prefix, bull_prefix=bull_prefix),
            JobRouter(subscriptions, settings.limits, delivery_limit=settings.delivery_limit),
            maintenance=_maintenance(client, reader, channels, settings.retention, prefix=prefix),
            check=None if settings.accept_eviction else partial(_check, url, settings.queue_url),
        )


def _forwarder(
    url: str, reader: RedisStreamReader, queue_url: str | None, *, prefix: str, bull_prefix: str
) -> Forwarder:
    if queue_url is None:
        return BullMQForwarder.from_url(
            url, group=reader.group, consumer=reader.consumer, prefix=prefix, bull_prefix=bull_prefix
        )
    letters = RedisDeadLetters.from_url(url, group=reader.group, prefix=prefix)
    return TwoStepForwarder(BullMQQueue.from_url(queue_url, bull_prefix=bull_prefix), letters, reader)


def _maintenance(
    client: Redis, reader: RedisStreamReader, channels: Sequence[str], retention: Retention | None, *, prefix: str
) -> list[MaintenanceTask]:
    maintenance: list[MaintenanceTask] = [
        RedisIdleConsumerReaper(client, channels, group=reader.group, consumer=reader.consumer, prefix=prefix)
    ]
    if retention is not None:
        maintenance.append(RedisStreamTrimmer(client, channels, retention=retention, prefix=prefix))
    return maintenance


async def _check(url: str, queue_url: str | None) -> None:
    for place in filter(None, (url, queue_url)):
        await check_eviction_at(place)
