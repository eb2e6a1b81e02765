"""Publishes events that only their ids tell apart, and looks at the index of their stream."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import count
from typing import Any, Final, Self

import msgspec
from redis.asyncio import Redis

from domainstream import PublisherSettings, RedisStreamPublisherClient
from domainstream.producer import OutgoingMessage
from domainstream.publisher.index_records import index_keys
from domainstream.stream.inspection.index import RedisIndexSearch

CHANNEL: Final = "domain_coding_stay_created"

_numbers = count(1)


def stored(subject: str, *, correlation_id: str | None = None, target: str = CHANNEL) -> OutgoingMessage:
    """Return a message that knows no more than its data, as a relay has them."""
    event_id = f"event-{next(_numbers)}"
    data = {"id": event_id, "subject": subject, "correlationid": correlation_id}
    return OutgoingMessage(target, event_id, msgspec.json.encode(data))


class Indexed:
    """The streams of a test, with a publisher that keeps their indexes."""

    def __init__(self, url: str, redis: Redis, prefix: str) -> None:
        self.url = url
        self.redis = redis
        self.prefix = prefix
        self.key = f"{prefix}{CHANNEL}"
        self.index, self.tail = index_keys(self.key)
        self.search = RedisIndexSearch(redis, prefix=prefix)
        self._client: RedisStreamPublisherClient | None = None

    @classmethod
    @asynccontextmanager
    async def opened(cls, url: str, redis: Redis, prefix: str, **settings: Any) -> AsyncIterator[Self]:
        """Open the publisher for the time of the block."""
        scene = cls(url, redis, prefix)
        chosen = PublisherSettings(url=url, prefix=prefix, **settings)
        async with RedisStreamPublisherClient.from_settings(chosen) as scene._client:
            yield scene

    async def publish(self, *messages: OutgoingMessage) -> list[str]:
        """Publish messages in one batch, and return the ids of their entries."""
        assert self._client is not None
        return [str(receipt.entry_id) for receipt in await self._client.publish(messages)]

    async def fill(self, batches: int, *, each: int = 100, subject: str = "other") -> None:
        """Publish many events about something else."""
        for _ in range(batches):
            await self.publish(*[stored(f"{subject}-{number}") for number in range(each)])

    async def found(self, wanted: str, channel: str = CHANNEL) -> Sequence[str] | None:
        """Return the ids of the entries of a channel that the index finds; None if it is not complete."""
        return (await self.search.find([channel], wanted)).get(channel)

    async def elements(self) -> int:
        """Return how many elements the index has, without its tail."""
        return int(await self.redis.llen(self.index))
