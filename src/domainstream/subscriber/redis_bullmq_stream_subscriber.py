"""Wires the subscriber to Redis Streams and BullMQ. Before: `stream_subscriber`; next stage: `domainstream.worker`."""

from typing import Self

from domainstream.queue import BullMQQueue
from domainstream.stream import RedisDeadLetters, RedisStreamReader
from domainstream.subscriber.batch import Sorter
from domainstream.subscriber.stream_subscriber import StreamSubscriber
from domainstream.subscriber.subscriptions import Subscriptions


class RedisBullMQStreamSubscriber(StreamSubscriber):
    """Delivers the events of Redis Streams to BullMQ queues.

    Usage::

        async with RedisBullMQStreamSubscriber.from_url(url, group="domain-events", subscriptions=subscriptions) as
        subscriber:
            await subscriber.run()

    Any number of instances may share a group; give each its own `consumer` when they share a host.
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
    ) -> Self:
        """Return a subscriber with connections of its own; it connects when it runs.

        `group` is the consumer group on every stream; `consumer` names this instance in it, by default after the host.
        `prefix` begins the key of every stream, `bull_prefix` every key of BullMQ.

        Raises `MissingExtraError` without the package `bullmq`, `ConfigurationError` for a URL that is none or an
        empty group.
        """
        return cls(
            RedisStreamReader.from_url(url, subscriptions.channels, group=group, consumer=consumer, prefix=prefix),
            BullMQQueue.from_url(url, bull_prefix=bull_prefix),
            RedisDeadLetters.from_url(url, group=group, prefix=prefix),
            Sorter(subscriptions),
        )
