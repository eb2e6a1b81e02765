"""Walks through what waits unacknowledged, page by page: own entries, then those left alone."""

from collections import deque
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from redis.asyncio import Redis

from domainstream.stream.port import Delivery, Loss
from domainstream.stream.reader.adaptive_batch_size import AdaptiveBatchSize
from domainstream.stream.reader.group_streams import RedisGroupStreams, answers_of
from domainstream.stream.reader.stats import ReaderStatsRecorder
from domainstream.stream.settings import ReaderSettings

SUSPICIOUS: Final = 2
"""An entry that was delivered more often may be what kills its consumers: from there on entries come one by one."""

_BEGINNING: Final = "0"
_END: Final = "0-0"

_Entries = list[tuple[bytes, dict[bytes, bytes] | None]]


@dataclass(slots=True)
class _Walk:
    """Where the walk through one stream's pending entries has come to: the last id seen, or XAUTOCLAIM's cursor."""

    key: bytes
    own: bool
    at: str = _BEGINNING


class Claimed(NamedTuple):
    """A reply of XAUTOCLAIM."""

    cursor: str
    """Where to go on; `0-0` at the end."""

    entries: _Entries
    """What was taken over."""

    deleted: list[bytes]
    """The ids of what was pending but had left the stream; it is pending no longer."""

    unnamed: bool
    """Whether there was more of that kind, still pending and without its id, as before Redis 7.0."""


def read_claimed(reply: Any) -> Claimed:
    """Return what XAUTOCLAIM said, whichever shape it has."""
    entries = [entry for entry in reply[1] if entry[0] is not None]
    deleted = list(reply[2]) if len(reply) > 2 else []
    return Claimed(reply[0].decode(), entries, deleted, unnamed=len(entries) < len(reply[1]))


class RedisStreamReclaimer:
    """Returns pages of deliveries until nothing waits any more.

    A page is of one stream, in its order. An entry that left its stream while it waited can never be delivered: it is
    acknowledged and told as a loss, whose `after` and `before` are both its id.
    """

    def __init__(
        self,
        client: Redis,
        streams: RedisGroupStreams,
        consumer: str,
        settings: ReaderSettings,
        recorder: ReaderStatsRecorder,
    ) -> None:
        self._client = client
        self._streams = streams
        self._consumer = consumer
        self._idle_ms = max(1, round(settings.claim_after.total_seconds() * 1000))
        self._size = AdaptiveBatchSize(settings, channels=1)
        self._recorder = recorder
        self._rounds: list[bool] = []
        self._walks: deque[_Walk] = deque()

    @property
    def at_rest(self) -> bool:
        """Whether the last walk has come to its end."""
        return not (self._rounds or self._walks)

    def begin(self, *, own: bool) -> None:
        """Walk anew: through what was left alone, and with `own` first through everything in the reader's name."""
        self._walks.clear()
        self._rounds = [True, False] if own else [False]

    async def page(self) -> list[Delivery]:
        """Return the next deliveries; none when the walk is over."""
        while not self.at_rest:
            if not self._walks:
                await self._find(own=self._rounds[0])
                del self._rounds[0]
            elif page := await self._next_page(self._walks[0]):
                self._size.learn(page, len(page))
                return page
        return []

    async def _find(self, *, own: bool) -> None:
        """Choose the streams that have something pending."""
        walks = [_Walk(key, own) for key in self._streams.channels]
        async with self._client.pipeline(transaction=False) as pipe:
            for walk in walks:
                self._pending(pipe, walk, 1)
            replies = await answers_of(pipe)
        self._walks.extend(walk for walk, pending in zip(walks, replies, strict=True) if pending)

    def _pending(self, client: Redis, walk: _Walk, count: int) -> Any:
        chosen: Any = {"consumername": self._consumer} if walk.own else {"idle": self._idle_ms}
        start = f"({walk.at}" if walk.own else walk.at
        return client.xpending_range(walk.key, self._streams.group, start, "+", count, **chosen)

    async def _next_page(self, walk: _Walk) -> list[Delivery]:
        pending = await self._pending(self._client, walk, self._size.count)
        if not pending:
            self._walks.popleft()
            return []
        # Only this reply tells how often each was delivered, not the one that holds the entries.
        times = {entry["message_id"]: entry["times_delivered"] for entry in pending}
        count = 1 if max(times.values()) > SUSPICIOUS else self._size.count
        entries = await (self._own(walk, count) if walk.own else self._left_alone(walk, count, list(times)))
        # What was left alone only since then has been delivered once before, at least.
        now = {entry_id: times.get(entry_id, 1) + 1 for entry_id, _ in entries}
        return list(self._streams.deliveries(walk.key, entries, now))

    async def _own(self, walk: _Walk, count: int) -> _Entries:
        streams: dict[Any, Any] = {walk.key: walk.at}
        reply: Any = await self._client.xreadgroup(self._streams.group, self._consumer, streams, count=count)
        entries: _Entries = reply[0][1]
        if entries:
            walk.at = entries[-1][0].decode()
        # An entry has at least one field: one without has left the stream.
        await self._settle_gone(walk.key, [entry_id for entry_id, fields in entries if not fields])
        return [entry for entry in entries if entry[1]]

    async def _left_alone(self, walk: _Walk, count: int, idle: list[bytes]) -> _Entries:
        reply: Any = await self._client.xautoclaim(
            walk.key, self._streams.group, self._consumer, self._idle_ms, start_id=idle[0], count=count
        )
        claimed = read_claimed(reply)
        self._lost(walk.key, claimed.deleted)
        if claimed.unnamed:
            await self._settle_gone(walk.key, await self._gone_among(walk.key, idle))
        walk.at = claimed.cursor
        if claimed.cursor == _END:
            self._walks.popleft()
        self._recorder.reclaimed(self._streams.channels[walk.key], len(claimed.entries))
        return claimed.entries

    async def _gone_among(self, key: bytes, entry_ids: list[bytes]) -> list[bytes]:
        async with self._client.pipeline(transaction=False) as pipe:
            for entry_id in entry_ids:
                pipe.xrange(key, entry_id, entry_id)
            replies = await answers_of(pipe)
        return [entry_id for entry_id, found in zip(entry_ids, replies, strict=True) if not found]

    async def _settle_gone(self, key: bytes, entry_ids: list[bytes]) -> None:
        """Acknowledge what no longer exists; whoever's acknowledgement counts tells the loss."""
        if not entry_ids:
            return
        async with self._client.pipeline(transaction=False) as pipe:
            for entry_id in entry_ids:
                pipe.xack(key, self._streams.group, entry_id)
            replies = await answers_of(pipe)
        self._lost(key, [entry_id for entry_id, settled in zip(entry_ids, replies, strict=True) if settled])

    def _lost(self, key: bytes, entry_ids: list[bytes]) -> None:
        channel, group = self._streams.channels[key], self._streams.group
        self._recorder.lost(Loss(channel, group, 1, after=gone.decode(), before=gone.decode()) for gone in entry_ids)
