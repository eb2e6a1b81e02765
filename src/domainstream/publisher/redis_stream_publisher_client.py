"""Publishes into Redis Streams, over a connection of its own."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from types import TracebackType
from typing import Self

from msgspec import Struct
from redis.asyncio import ConnectionPool, Redis

from domainstream.errors import PublisherClosedError
from domainstream.health import Health
from domainstream.producer import OutgoingMessage
from domainstream.publisher.coalescer import Coalescer
from domainstream.publisher.lane import ServerLane
from domainstream.publisher.node_lanes import NodeLanes
from domainstream.publisher.redis_batch_sender import BatchCalls, RedisBatchSender
from domainstream.publisher.retention import Retention
from domainstream.publisher.settings import BatchLimits, PublisherSettings
from domainstream.receipt import Receipt
from domainstream.redis.cluster_link import ClusterLink
from domainstream.redis.confirming import connected_replicas
from domainstream.redis.connection import link_pool, link_pool_like
from domainstream.redis.link import RedisLink
from domainstream.redis.sentinel_replicas import SentinelReplicas
from domainstream.redis.slot_map import SlotMap
from domainstream.redis.topology import RedisTopology, TopologyKind
from domainstream.settings import Confirm, RetryPolicy, confirm_problem
from domainstream.validation import raise_problems

CLIENT_NAME = "domainstream-publisher"
"""How the server's CLIENT LIST shows the connection."""


class PublisherStats(Struct, frozen=True, kw_only=True):
    """What a publisher is doing at a moment."""

    waiting: int
    """How many messages wait for their batch or its reply."""


class RedisStreamPublisherClient:
    """Publishes messages to one stream per channel; implements `EventPublisher`.

    Usage::

        async with RedisStreamPublisherClient.from_url(url, retention=Retention(max_age=timedelta(hours=1))) as client:
            producer = EventProducer(client, channel_for=channel_for, source="coding")

    Connects with the first message. A batch that got no reply is sent again until the deadline; the server recognises
    it and adds no second entry. For the tasks of one event loop, not for several threads.
    """

    def __init__(self, lanes: ServerLane | NodeLanes, settings: PublisherSettings) -> None:
        """Prefer `from_url`, `from_settings` or `from_client`."""
        self._lanes = lanes
        self._confirm: Confirm | None = settings.confirm
        self._attempt_timeout = settings.retry.attempt_timeout.total_seconds()
        self._coalescer = Coalescer(lanes, settings.limits, settings.retry.deadline.total_seconds())
        self._closing: asyncio.Task[None] | None = None

    @classmethod
    def from_url(
        cls,
        url: str,
        *,
        prefix: str = "",
        retention: Retention | None = None,
        retry: RetryPolicy | None = None,
        limits: BatchLimits | None = None,
        confirm: Confirm | None = None,
    ) -> Self:
        """Return a client for `redis://`, `rediss://`, `unix://`, `redis+sentinel://` or `redis+cluster://`.

        `prefix` is what each stream's key begins with, before the channel's value; `PublisherSettings` says what the
        rest means. Raises `ConfigurationError` for an invalid URL or settings that contradict each other.
        """
        return cls.from_settings(
            PublisherSettings(
                url=url,
                prefix=prefix,
                retention=retention or Retention(),
                retry=retry or RetryPolicy(),
                limits=limits or BatchLimits(),
                confirm=confirm,
            )
        )

    @classmethod
    def from_settings(cls, settings: PublisherSettings) -> Self:
        """Return a client with these settings."""
        topology = RedisTopology.of(settings.url)
        if topology.is_cluster:
            return cls(_node_lanes(topology, settings), settings)
        timeout = settings.retry.attempt_timeout
        pool = link_pool(settings.url, client_name=CLIENT_NAME, connect_timeout=timeout)
        replicas = SentinelReplicas(topology) if topology.kind is TopologyKind.SENTINEL else connected_replicas
        return cls(_server_lane(RedisLink(pool, replicas=replicas), pool, settings), settings)

    @classmethod
    def from_client(cls, client: Redis, settings: PublisherSettings) -> Self:
        """Return a client that connects to where `client` does, with its credentials but with its own connection.

        The URL of `settings` is not used. Raises `ConfigurationError` for a client of a cluster or of Sentinel.
        """
        timeout = settings.retry.attempt_timeout
        pool = link_pool_like(client, client_name=CLIENT_NAME, connect_timeout=timeout)
        return cls(_server_lane(RedisLink(pool), pool, settings), settings)

    @property
    def stats(self) -> PublisherStats:
        """What the publisher is doing now."""
        return PublisherStats(waiting=self._coalescer.waiting)

    async def publish(self, messages: Sequence[OutgoingMessage], *, confirm: Confirm | None = None) -> list[Receipt]:
        """Send `messages` and return one receipt each; see `EventPublisher.publish`.

        Without `confirm`, the publisher's settings say how many replicas to wait for. Calls that wait for different
        numbers do not share a round trip, and each waits until those before it are settled. Raises `ConfigurationError`
        for a `confirm` that cannot be waited for.
        """
        if self._closing is not None:
            raise PublisherClosedError("the publisher is closed; publish inside its `async with` block")
        if confirm is None:
            return await self._coalescer.publish(messages, self._confirm)
        raise_problems("publish(confirm=...)", [confirm_problem(confirm, least=0)])
        return await self._coalescer.publish(messages, confirm or None)

    async def health(self) -> Health:
        """Ping the server, or each primary of a cluster, for at most the time of one attempt; never raises."""
        if self._closing is not None:
            return Health(ok=False, problem="the publisher is closed")
        if self._coalescer.problem:
            return Health(ok=False, problem=self._coalescer.problem)
        now = asyncio.get_running_loop().time
        started = now()
        problem = await self._lanes.ping(self._attempt_timeout)
        if problem is not None:
            return Health(ok=False, problem=problem)
        return Health(ok=True, round_trip=timedelta(seconds=now() - started))

    async def close(self) -> None:
        """Refuse new messages, settle those that wait, and disconnect. Further calls wait for the same."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._close(), name="domainstream publisher close")
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        await self._coalescer.drain()
        await self._lanes.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()


def _server_lane(link: RedisLink, pool: ConnectionPool, settings: PublisherSettings) -> ServerLane:
    sender = RedisBatchSender(link, BatchCalls(settings), settings.retry)
    return ServerLane(sender, settings.limits, pool)


def _node_lanes(topology: RedisTopology, settings: PublisherSettings) -> NodeLanes:
    """Return lanes that share one map of the cluster and one count of sequences."""
    slots = SlotMap(topology, client_name=CLIENT_NAME)
    calls = BatchCalls(settings)

    def sender() -> RedisBatchSender:
        link = ClusterLink(slots, client_name=CLIENT_NAME, connect_timeout=settings.retry.attempt_timeout)
        return RedisBatchSender(link, calls, settings.retry)

    return NodeLanes(slots, sender, settings.limits, prefix=settings.prefix)
