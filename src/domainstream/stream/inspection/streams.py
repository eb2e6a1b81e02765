"""Looks at streams and the entries in them."""

from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline

from domainstream.channel.partitions import in_channel_order
from domainstream.redis.asking import Ask, ask_each
from domainstream.redis.keys import stream_key
from domainstream.redis.nodes import RedisNodes
from domainstream.stream.port import Delivery
from domainstream.stream.state import StreamState
from domainstream.validation import plain_name

PAGE: Final = 500

SAMPLES: Final = 5
"""Of how many parts of a stream the server takes the size, to estimate that of the whole."""

NO_STREAM: Final = ("no such key", "WRONGTYPE")
"""What the server answers about a key that is not a stream."""


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
        return next(iter(await self.streams([channel])), None)

    async def streams(self, channels: Sequence[str]) -> list[StreamState]:
        """Return the states of the streams of these channels, but for those that have none, in few round trips."""
        keys = {channel: stream_key(channel, self._prefix) for channel in channels}
        asks = {key: [partial(_ask_info, key=key)] for key in keys.values()}
        replies = await ask_each(self._nodes, asks, missing=NO_STREAM)
        return [_stream(channel, info) for channel, key in keys.items() if (info := replies[key][0]) is not None]

    async def memory_bytes(self, channel: str) -> int:
        """Return how much memory a stream takes, estimated by the server."""
        key = stream_key(channel, self._prefix)
        found: Any = await self._nodes.run(key, lambda redis: redis.memory_usage(key))
        return int(found or 0)

    async def memory_of(self, channels: Sequence[str]) -> dict[str, int | None]:
        """Return how much memory each of these streams takes, estimated by the server, in few round trips.

        None where there is no stream, or the user may not ask.
        """
        keys = {channel: stream_key(channel, self._prefix) for channel in channels}
        asks = {key: [partial(_ask_memory, key=key)] for key in keys.values()}
        replies = await ask_each(self._nodes, asks, missing=("no permissions", "unknown command"))
        return {channel: replies[key][0] for channel, key in keys.items()}

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

    async def chosen(self, entry_ids: Mapping[str, Sequence[str]]) -> dict[str, list[Delivery]]:
        """Return the entries of channels that have these ids, in their order, without those that are gone.

        In few round trips.
        """
        found: dict[str, list[Delivery]] = {channel: [] for channel in entry_ids}
        pairs = [(channel, entry_id) for channel, ids in entry_ids.items() for entry_id in ids]
        for start in range(0, len(pairs), PAGE):
            asks: dict[str, list[Ask]] = {}
            for channel, entry_id in pairs[start : start + PAGE]:
                key = stream_key(channel, self._prefix)
                asks.setdefault(key, []).append(partial(_ask_entry, key=key, entry_id=entry_id))
            replies = await ask_each(self._nodes, asks)
            for channel in dict.fromkeys(channel for channel, _ in pairs[start : start + PAGE]):
                of_channel = replies[stream_key(channel, self._prefix)]
                found[channel] += [_delivery(channel, *entry) for reply in of_channel for entry in reply]
        return found

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


def _ask_info(pipe: Pipeline, *, key: str) -> Any:
    return pipe.xinfo_stream(key)


def _ask_entry(pipe: Pipeline, *, key: str, entry_id: str) -> Any:
    return pipe.xrange(key, entry_id, entry_id)


def _ask_memory(pipe: Pipeline, *, key: str) -> Any:
    return pipe.memory_usage(key, samples=SAMPLES)


def _stream(channel: str, info: Mapping[str, Any]) -> StreamState:
    first = info["first-entry"]
    return StreamState(
        channel=plain_name(channel),
        length=info["length"],
        added=info.get("entries-added"),
        groups=info["groups"],
        first_id=first[0].decode() if first else "",
        last_id=info["last-generated-id"].decode(),
    )


def _delivery(channel: str, entry_id: bytes, fields: dict[bytes, bytes]) -> Delivery:
    return Delivery.of_fields(channel, entry_id.decode(), fields)
