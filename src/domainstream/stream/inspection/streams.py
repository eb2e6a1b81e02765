"""Looks at streams and the entries in them."""

from collections.abc import AsyncIterator
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from domainstream.channel.partitions import in_channel_order
from domainstream.redis.keys import stream_key
from domainstream.redis.nodes import RedisNodes
from domainstream.stream.port import Delivery
from domainstream.stream.state import StreamState
from domainstream.validation import plain_name

PAGE: Final = 500


class RedisStreamInspection:
    """The streams below a prefix.

    For one task. Raises the same errors as `StreamReader`.
    """

    def __init__(self, client: Redis | RedisNodes, *, prefix: str = "") -> None:
        """Look through `client`, which the caller closes."""
        self._nodes = RedisNodes.of(client)
        self._prefix = plain_name(prefix)

    async def now_ms(self, channel: str = "") -> int:
        """Return the clock of the server that has a channel, in milliseconds since 1970."""
        key = stream_key(channel, self._prefix)
        seconds, microseconds = await self._nodes.run(key, lambda redis: redis.time())
        return int(seconds) * 1000 + int(microseconds) // 1000

    async def channels(self) -> list[str]:
        """Return the channels that have a stream, sorted; of a channel with partitions, each one, as `domain_x:p3`."""
        names = [key.removeprefix(self._prefix) for key in await self._nodes.keys_like(self._prefix, "stream")]
        return in_channel_order(names)

    async def stream(self, channel: str) -> StreamState | None:
        """Return the state of a channel's stream; None when there is none, or the key is something else."""
        key = stream_key(channel, self._prefix)

        async def info(redis: Any) -> Any:
            try:
                return await redis.xinfo_stream(key)
            except ResponseError as error:
                if "no such key" in str(error) or "WRONGTYPE" in str(error):
                    return None
                raise

        found = await self._nodes.run(key, info)
        if found is None:
            return None
        first = found["first-entry"]
        return StreamState(
            channel=plain_name(channel),
            length=found["length"],
            added=found.get("entries-added"),
            groups=found["groups"],
            first_id=first[0].decode() if first else "",
            last_id=found["last-generated-id"].decode(),
        )

    async def memory_bytes(self, channel: str) -> int:
        """Return how much memory a stream takes, estimated by the server."""
        key = stream_key(channel, self._prefix)
        found: Any = await self._nodes.run(key, lambda redis: redis.memory_usage(key))
        return int(found or 0)

    async def entries(self, channel: str, *, since: str = "-", until: str = "+") -> AsyncIterator[Delivery]:
        """Yield a channel's entries between two ids, both included, read page by page."""
        start = since
        while True:
            page = await self._page("xrange", channel, start, until)
            for entry_id, fields in page:
                yield _delivery(channel, entry_id, fields)
            if len(page) < PAGE:
                return
            start = f"({page[-1][0].decode()}"

    async def newest_first(self, channel: str, *, since: str = "-") -> AsyncIterator[Delivery]:
        """Yield a channel's entries from the newest to the first that is not older than `since`, read page by page."""
        end = "+"
        while True:
            page = await self._page("xrevrange", channel, end, since)
            for entry_id, fields in page:
                yield _delivery(channel, entry_id, fields)
            if len(page) < PAGE:
                return
            end = f"({page[-1][0].decode()}"

    async def latest(self, channel: str, count: int) -> list[Delivery]:
        """Return the newest entries of a channel, the oldest of them first."""
        found = await self._page("xrevrange", channel, "+", "-", count)
        return [_delivery(channel, entry_id, fields) for entry_id, fields in reversed(found)]

    async def new_entries(self, channel: str, *, after: str, block_ms: int) -> list[Delivery]:
        """Wait up to `block_ms` for entries after the id `after`; return an empty list when none came."""
        key = stream_key(channel, self._prefix)
        found: Any = await self._nodes.run(key, lambda redis: redis.xread({key: after}, count=PAGE, block=block_ms))
        return [_delivery(channel, entry_id, fields) for _, entries in found or () for entry_id, fields in entries]

    async def _page(self, command: str, channel: str, first: str, last: str, count: int = PAGE) -> Any:
        key = stream_key(channel, self._prefix)
        return await self._nodes.run(key, lambda redis: getattr(redis, command)(key, first, last, count))


def _delivery(channel: str, entry_id: bytes, fields: dict[bytes, bytes]) -> Delivery:
    return Delivery.of_fields(channel, entry_id.decode(), fields)
