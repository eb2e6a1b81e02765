"""Wires the subscriber to Redis Streams and BullMQ: its settings, and the connections that it owns."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final, Self

from domainstream.channel import EventPublisherChannel
from domainstream.publisher import Retention
from domainstream.queue import BullMQForwarder, BullMQQueue, Forwarder, TwoStepForwarder
from domainstream.redis.connection import connect, not_a_cluster
from domainstream.settings import MessageLimits
from domainstream.stream import (
    Loss,
    MaintenanceTask,
    ReaderSettings,
    RedisConsumerLease,
    RedisDeadLetters,
    RedisIdleConsumerReaper,
    RedisStreamReader,
    RedisStreamTrimmer,
    check_eviction_at,
)
from domainstream.subscriber.router import JobRouter
from domainstream.subscriber.stream_subscriber import StreamSubscriber
from domainstream.subscriber.subscriptions import Subscriptions
from domainstream.validation import positive_fields, raise_problems

READING: Final = ReaderSettings()
LIMITS: Final = MessageLimits()


@dataclass(frozen=True, kw_only=True, slots=True)
class SubscriberSettings:
    """The limits, retention and queue server of a subscriber."""

    delivery_limit: int = 5
    """How often an entry may be delivered before it becomes a dead letter. Defaults to 5."""

    reading: ReaderSettings = READING
    """How much is read at a time, and when abandoned entries are reclaimed. Defaults to 1,000 entries, 4 MiB and 30
    seconds.
    """

    limits: MessageLimits = LIMITS
    """The limits of a message; one that exceeds them becomes a dead letter. Defaults to those of publishers."""

    retention: Retention | None = None
    """The retention of the publishers. If it is set, subscribers also trim the streams that no longer get new entries.
    None leaves those untrimmed. Defaults to None.
    """

    queue_url: str | None = None
    """The server of the queues, if it is not the streams' own. Forwarding then takes several steps, and relies on the
    queues to keep completed jobs for as long as an event may be delivered again. None for the same server. Defaults to
    None.
    """

    accept_eviction: bool = False
    """Run although the server may evict keys when its memory is full, and with them events. Defaults to False."""

    on_loss: Callable[[Loss], None] | None = None
    """Called with each loss of entries, which is logged too; exceptions that it raises are logged. Defaults to None."""

    def __post_init__(self) -> None:
        """Raise `ConfigurationError` for a limit of zero or less."""
        raise_problems("SubscriberSettings", positive_fields(self))


DEFAULT_SETTINGS: Final = SubscriberSettings()


class RedisBullMQStreamSubscriber(StreamSubscriber):
    """Delivers the events of Redis Streams to BullMQ queues.

    Usage::

        async with RedisBullMQStreamSubscriber.from_url(url, group="domain-events", subscriptions=subscriptions) as
        subscriber:
            await subscriber.run()

    Any number of instances may share a group; give each its own `consumer` when they share a host: a second one of the
    same name is refused. Each has three connections, however many the channels: for reads that block, for forwarding,
    and for everything else.
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
        """Return a subscriber that owns its connections; it connects when it runs.

        `group` is the consumer group on every stream; `consumer` names this instance in it, by default after the host.
        `prefix` begins the key of every stream, `bull_prefix` every key of BullMQ.

        Raises `MissingExtraError` without the package `bullmq`, `ConfigurationError` for an invalid URL, an empty
        group, or a channel with partitions, which subscribers do not read yet. `run` raises `ConfigurationError` when a
        server may evict keys, and when another subscriber of the group uses the name `consumer`.
        """
        raise_problems("RedisBullMQStreamSubscriber", map(_partitions_problem, subscriptions.channels))
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
        lease = RedisConsumerLease(
            client,
            channels,
            group=group,
            consumer=reader.consumer,
            prefix=prefix,
            subscriptions=subscriptions.digest,
        )
        maintenance: list[MaintenanceTask] = [
            lease,
            RedisIdleConsumerReaper(client, channels, group=group, consumer=reader.consumer, prefix=prefix),
        ]
        if settings.retention is not None:
            maintenance.append(RedisStreamTrimmer(client, channels, retention=settings.retention, prefix=prefix))
        owned = AsyncExitStack()
        owned.push_async_callback(client.aclose)
        owned.push_async_callback(reader.close)
        owned.push_async_callback(lease.close)

        servers = [server for server in (url, settings.queue_url) if server is not None]

        async def check() -> None:
            for server in [] if settings.accept_eviction else servers:
                await check_eviction_at(server)
            await lease.acquire()

        subscriber = cls(
            reader,
            _open_forwarder(url, settings.queue_url, reader, owned, prefix=prefix, bull_prefix=bull_prefix),
            JobRouter(subscriptions, settings.limits, delivery_limit=settings.delivery_limit),
            maintenance=maintenance,
            check=check,
        )
        subscriber._owned = owned
        return subscriber


def _partitions_problem(channel: EventPublisherChannel) -> str | None:
    if channel.partitions == 1:
        return None
    return f"{channel.name} has {channel.partitions} partitions, which subscribers do not read yet; take them back"


def _open_forwarder(
    url: str, queue_url: str | None, reader: RedisStreamReader, owned: AsyncExitStack, *, prefix: str, bull_prefix: str
) -> Forwarder:
    """Return a forwarder of one step, or of two where queues are on a server of their own; `owned` closes it."""
    if queue_url is None:
        forwarder = BullMQForwarder.from_url(
            url, group=reader.group, consumer=reader.consumer, prefix=prefix, bull_prefix=bull_prefix
        )
        owned.push_async_callback(forwarder.close)
        return forwarder
    not_a_cluster(queue_url)
    dead_letters = RedisDeadLetters.from_url(url, group=reader.group, prefix=prefix)
    queue = BullMQQueue.from_url(queue_url, bull_prefix=bull_prefix)
    owned.push_async_callback(dead_letters.close)
    owned.push_async_callback(queue.close)
    return TwoStepForwarder(queue, dead_letters, reader)
