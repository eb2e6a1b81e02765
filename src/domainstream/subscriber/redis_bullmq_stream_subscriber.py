"""Wires the subscriber to Redis Streams and BullMQ: its settings, and the connections that it owns."""

import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, Final, Self

from domainstream.publisher import Retention
from domainstream.publisher.partition_layout import claim_channels
from domainstream.queue.bullmq.gate_keeper import GateKeeper
from domainstream.queue.bullmq.job_adder import BullMQJobAdder
from domainstream.redis.call_lane import CallLanes
from domainstream.redis.cluster_link import open_link
from domainstream.redis.span_attributes import server_attributes
from domainstream.settings import Confirm, MessageLimits, confirm_problem
from domainstream.stream import Loss, MaintenanceTask, ReaderSettings, RedisStreamTrimmer, check_eviction_at
from domainstream.stream.reader.members import RedisGroupMembers
from domainstream.stream.reader.reader import RedisStreamReader
from domainstream.stream.reader.wake_ups import WakeUps
from domainstream.subscriber.parts import HandOverParts
from domainstream.subscriber.progress import Progress
from domainstream.subscriber.router import JobRouter
from domainstream.subscriber.stream_shares import term_of
from domainstream.subscriber.stream_subscriber import StreamSubscriber
from domainstream.subscriber.subscriptions import Subscriptions
from domainstream.validation import plain_name, positive_fields, raise_problems

READING: Final = ReaderSettings()
LIMITS: Final = MessageLimits()


@dataclass(frozen=True, kw_only=True, slots=True)
class SubscriberSettings:
    """The limits, retention and queue server of a subscriber."""

    delivery_limit: int = 5
    """How often an entry may be delivered before it becomes a dead letter. Defaults to 5."""

    reading: ReaderSettings = READING
    """How much is read at a time, how long a lease lasts, and when entries of other consumers are claimed. Defaults to
    1,000 entries, 4 MiB, 10 and 30 seconds.
    """

    limits: MessageLimits = LIMITS
    """The limits of a message; one that exceeds them becomes a dead letter. Defaults to those of publishers."""

    retention: Retention | None = None
    """The retention of the publishers. If it is set, subscribers also trim the streams that no longer get new entries.
    None leaves those untrimmed. Defaults to None.
    """

    queue_url: str | None = None
    """The server of the queues, if it is not the streams' own. None for the same server. Defaults to None."""

    confirm: Confirm | None = None
    """What must have the jobs of an entry before it is acknowledged, beside the primary of their queue: so many
    replicas; "all" that it has, and at least one; or "fsync", the disks of all of them. None waits for none of them:
    what a queue loses in a failover is then added again when that is noticed. Defaults to None.
    """

    accept_eviction: bool = False
    """Run although the server may evict keys when its memory is full, and with them events. Defaults to False."""

    on_loss: Callable[[Loss], None] | None = None
    """Called with each loss of entries, which is logged too; exceptions that it raises are logged. Defaults to None."""

    def __post_init__(self) -> None:
        """Raise `ConfigurationError` for a limit of zero or less, or another `confirm`."""
        problems = [confirm_problem(self.confirm), *positive_fields(self, but=("confirm",))]
        raise_problems("SubscriberSettings", problems)


DEFAULT_SETTINGS: Final = SubscriberSettings()


class RedisBullMQStreamSubscriber(StreamSubscriber):
    """Delivers the events of Redis Streams to BullMQ queues, on one server, behind sentinels or on a cluster.

    Usage::

        async with RedisBullMQStreamSubscriber.from_url(url, group="domain-events", subscriptions=subscriptions) as
        subscriber:
            await subscriber.run()

    Any number of instances may share a group, which spreads channels and their partitions evenly. Each has three
    connections to each server, however many the channels: to read and acknowledge, to add jobs, and to hear of new
    events.
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

        `group` is the consumer group on every stream; `consumer` is what people know this instance by, by default its
        host. `prefix` begins the key of every stream, `bull_prefix` every key of BullMQ.

        Raises `MissingExtraError` without the package `bullmq`, `ConfigurationError` for an invalid URL or an empty
        group. `run` raises `ConfigurationError` when a server may evict keys, and when a channel has another number of
        partitions there.
        """
        name = plain_name(consumer) or socket.gethostname()
        router = JobRouter(subscriptions, settings.limits, delivery_limit=settings.delivery_limit)
        lanes, queue_lanes = CallLanes(url), CallLanes(settings.queue_url or url)
        # No other instance has this name, and `doctor` compares the subscriptions of those that share a group.
        instance = f"{name} ({secrets.token_hex(4)}) with subscriptions {subscriptions.digest}"
        names: dict[str, Any] = {"group": group, "instance": instance, "prefix": prefix}
        reader = RedisStreamReader(lanes, router.streams, settings=settings.reading, **names)
        members = RedisGroupMembers(lanes, router.streams, term=term_of(settings.reading.lease), **names)
        adder = BullMQJobAdder(
            queue_lanes,
            group=group,
            prefix=prefix,
            bull_prefix=bull_prefix,
            beside_streams=settings.queue_url is None,
            confirm=settings.confirm,
            on_failure=subscriptions.on_failure,
        )
        progress = Progress(group, settings.on_loss)
        parts = HandOverParts(
            reader=reader,
            adder=adder,
            router=router,
            progress=progress,
            reading=settings.reading,
            server=server_attributes(url),
        )
        maintenance = _maintenance(url, router, queue_lanes, progress, settings, prefix=prefix, bull_prefix=bull_prefix)
        # Each channel that rests is looked at every 5 seconds anyway, one after the other and not all at once.
        wake_ups = WakeUps(url, reader.channels, poll=timedelta(minutes=1))
        check = partial(_check_servers, url, settings, subscriptions, prefix)
        subscriber = cls(parts, wake_ups, members=members, maintenance=maintenance, check=check)
        closed: list[CallLanes | BullMQJobAdder | MaintenanceTask] = [lanes, queue_lanes, adder, *maintenance]
        for part in closed:
            subscriber._owned.push_async_callback(part.close)
        return subscriber


def _maintenance(
    url: str,
    router: JobRouter,
    queue_lanes: CallLanes,
    progress: Progress,
    settings: SubscriberSettings,
    *,
    prefix: str,
    bull_prefix: str,
) -> list[MaintenanceTask]:
    """Return what looks after ordered queues, and what trims streams, where they are wanted."""
    tasks: list[MaintenanceTask] = []
    if rules := router.subscriptions.on_failure:
        tasks.append(GateKeeper(queue_lanes, rules, bull_prefix=bull_prefix, on_held=progress.held))
    if settings.retention is not None:
        retention = settings.retention
        tasks.append(RedisStreamTrimmer.from_url(url, router.streams, retention=retention, prefix=prefix))
    return tasks


async def _check_servers(url: str, settings: SubscriberSettings, subscriptions: Subscriptions, prefix: str) -> None:
    """Raise `ConfigurationError` when a server may evict keys, or has other numbers of partitions."""
    if not settings.accept_eviction:
        await check_eviction_at(url)
        if settings.queue_url is not None:
            await check_eviction_at(settings.queue_url)
    link = open_link(url)
    try:
        numbers = {str(channel.value): channel.partitions for channel in subscriptions.channels}
        await claim_channels(link, numbers, prefix)
    finally:
        await link.close()
