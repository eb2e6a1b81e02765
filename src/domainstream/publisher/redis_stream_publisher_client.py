"""Publishes into Redis Streams, over connections of its own."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from types import TracebackType
from typing import Self

from redis.asyncio import ConnectionPool, Redis

from domainstream.errors import PublisherClosedError
from domainstream.producer import OutgoingMessage, PublisherHealth
from domainstream.publisher.coalescer import Coalescer
from domainstream.publisher.redis_batch_sender import RedisBatchSender
from domainstream.publisher.redis_link import RedisLink
from domainstream.publisher.redis_own_pool import ping, pool_from_url, pool_like
from domainstream.publisher.retention import Retention
from domainstream.publisher.settings import BatchLimits, PublisherSettings
from domainstream.receipt import Receipt
from domainstream.settings import RetryPolicy


class RedisStreamPublisherClient:
    """Publishes messages to one stream per channel; implements `EventPublisher`.

    Usage::

        async with RedisStreamPublisherClient.from_url(url, retention=Retention(max_age=timedelta(hours=1))) as client:
            producer = EventProducer(client, channel_for=channel_for, source="coding")

    Connects with the first message. A batch that got no answer is sent again until the deadline; the server recognises
    it and adds no second entry. For the tasks of one event loop, not for several threads.
    """

    def __init__(self, pool: ConnectionPool, settings: PublisherSettings) -> None:
        """Prefer `from_url`, `from_settings` or `from_client`; `pool` makes the client's own connection."""
        self._pool = pool
        self._patience = settings.retry.attempt_timeout.total_seconds()
        self._link = RedisLink(pool)
        sender = RedisBatchSender(self._link, settings)
        self._coalescer = Coalescer(sender, settings.limits, settings.retry.deadline.total_seconds())
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
    ) -> Self:
        """Make a client for `redis://`, `rediss://` or `unix://`.

        `prefix` stands before each channel's value in its stream's key; the rest is told by `PublisherSettings`.
        Raises `ConfigurationError` for settings that make no sense.
        """
        return cls.from_settings(
            PublisherSettings(
                url=url,
                prefix=prefix,
                retention=retention or Retention(),
                retry=retry or RetryPolicy(),
                limits=limits or BatchLimits(),
            )
        )

    @classmethod
    def from_settings(cls, settings: PublisherSettings) -> Self:
        """Make a client from settings."""
        return cls(pool_from_url(settings.url, settings.retry), settings)

    @classmethod
    def from_client(cls, client: Redis, settings: PublisherSettings) -> Self:
        """Make a client that connects to where `client` does, with its credentials but with connections of its own.

        The URL of `settings` is not used. Raises `ConfigurationError` for a client of a cluster or of Sentinel.
        """
        return cls(pool_like(client, settings.retry), settings)

    async def publish(self, messages: Sequence[OutgoingMessage]) -> list[Receipt]:
        """Send `messages` and return one receipt each; see `EventPublisher.publish`."""
        if self._closing is not None:
            raise PublisherClosedError("the publisher is closed; publish inside its `async with` block")
        return await self._coalescer.publish(messages)

    async def health(self) -> PublisherHealth:
        """Ask the server for a sign of life, for at most one attempt's time; never raises."""
        if self._closing is not None:
            return PublisherHealth(ok=False, problem="the publisher is closed")
        now = asyncio.get_running_loop().time
        started = now()
        try:
            async with asyncio.timeout(self._patience):
                problem = await ping(self._pool)
        except TimeoutError:
            problem = f"no answer within {self._patience:g} s"
        waiting = self._coalescer.waiting
        if problem is not None:
            return PublisherHealth(ok=False, waiting=waiting, problem=problem)
        return PublisherHealth(ok=True, waiting=waiting, round_trip=timedelta(seconds=now() - started))

    async def close(self) -> None:
        """Refuse new messages, settle those that wait, and disconnect. Further calls wait for the same."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._close(), name="domainstream publisher close")
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        await self._coalescer.drain()
        await self._link.drop(nowait=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()
