"""Walks through pending entries, page by page: first the reader's own, then those that other consumers abandoned.

A crashed consumer leaves entries pending in its name, and a lost reply to XREADGROUP leaves them pending in ours,
without our ever having seen them. So after a start or a failure the reader walks through everything in its own name, by
XREADGROUP with an id, and then takes over what has been idle for too long, by XAUTOCLAIM. Neither command returns how
often an entry has been delivered, which distinguishes a poison entry from a slow one, and XAUTOCLAIM scans only a part
of the list per call: so each page begins with XPENDING, and each walk remembers where it has come to.
"""

from collections import deque
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from redis.asyncio import Redis

from domainstream.redis.connection import replies_of
from domainstream.stream.port import Delivery, Loss, ReaderSettings
from domainstream.stream.reader.group_streams import AdaptiveBatchSize, RedisGroupStreams
from domainstream.stream.reader.stats import ReaderStatsRecorder

SUSPICIOUS: Final = 2
"""An entry that was delivered more often may be what kills its consumers: from then on entries are read one by one."""

_BEGINNING: Final = "0"
_END: Final = "0-0"

_Entries = list[tuple[bytes, dict[bytes, bytes] | None]]


@dataclass(slots=True)
class _Walk:
    """How far the walk through one stream's pending entries has come: the last id seen, or XAUTOCLAIM's cursor."""

    key: bytes
    own: bool
    at: str = _BEGINNING


class Claimed(NamedTuple):
    """A reply of XAUTOCLAIM."""

    cursor: str
    """Where to continue; `0-0` at the end."""

    entries: _Entries
    """The entries that were taken over."""

    deleted: list[bytes]
    """The ids of entries that were pending but have been deleted; they are no longer pending."""

    unnamed: bool
    """Whether there were more deleted entries, still pending and without their ids, as before Redis 7.0."""


def read_claimed(reply: Any) -> Claimed:
    """Return a reply of XAUTOCLAIM, which has two or three parts, depending on the server."""
    entries = [entry for entry in reply[1] if entry[0] is not None]
    deleted = list(reply[2]) if len(reply) > 2 else []
    return Claimed(reply[0].decode(), entries, deleted, unnamed=len(entries) < len(reply[1]))


class RedisStreamReclaimer:
    """Returns pages of deliveries until nothing is pending any more.

    A page is of one stream, in its order. An entry that was deleted while it was pending can never be delivered: it is
    acknowledged and reported as a loss, whose `after` and `before` are both its id.
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
        self._batch_size = AdaptiveBatchSize(settings, channels=1)
        self._recorder = recorder
        self._rounds: list[bool] = []
        self._walks: deque[_Walk] = deque()

    @property
    def is_idle(self) -> bool:
        """Whether the last walk has come to its end."""
        return not (self._rounds or self._walks)

    def begin(self, *, own: bool) -> None:
        """Begin a new walk: through abandoned entries, and with `own` first through everything in the reader's name."""
        self._walks.clear()
        self._rounds = [True, False] if own else [False]

    async def page(self) -> list[Delivery]:
        """Return the next deliveries; empty when the walk is over."""
        while not self.is_idle:
            if not self._walks:
                await self._begin_round(own=self._rounds[0])
                del self._rounds[0]
            elif page := await self._next_page(self._walks[0]):
                self._batch_size.learn(page, len(page))
                return page
        return []

    async def _begin_round(self, *, own: bool) -> None:
        """Choose the streams that have something pending."""
        walks = [_Walk(key, own) for key in self._streams.channels]
        async with self._client.pipeline(transaction=False) as pipe:
            for walk in walks:
                self._pending(pipe, walk, 1)
            replies = await replies_of(pipe)
        self._walks.extend(walk for walk, pending in zip(walks, replies, strict=True) if pending)

    def _pending(self, client: Redis, walk: _Walk, count: int) -> Any:
        chosen: Any = {"consumername": self._consumer} if walk.own else {"idle": self._idle_ms}
        start = f"({walk.at}" if walk.own else walk.at
        return client.xpending_range(walk.key, self._streams.group, start, "+", count, **chosen)

    async def _next_page(self, walk: _Walk) -> list[Delivery]:
        pending = await self._pending(self._client, walk, self._batch_size.count)
        if not pending:
            self._walks.popleft()
            return []
        # Only this reply says how often each was delivered, not the one that holds the entries.
        times = {entry["message_id"]: entry["times_delivered"] for entry in pending}
        count = 1 if max(times.values()) > SUSPICIOUS else self._batch_size.count
        entries = await (self._read_own(walk, count) if walk.own else self._claim_abandoned(walk, count, list(times)))
        # What became idle only since then has been delivered at least once before.
        now = {entry_id: times.get(entry_id, 1) + 1 for entry_id, _ in entries}
        return list(self._streams.deliveries(walk.key, entries, now))

    async def _read_own(self, walk: _Walk, count: int) -> _Entries:
        streams: dict[Any, Any] = {walk.key: walk.at}
        reply: Any = await self._client.xreadgroup(self._streams.group, self._consumer, streams, count=count)
        entries: _Entries = reply[0][1]
        if entries:
            walk.at = entries[-1][0].decode()
        # An entry has at least one field: one without has been deleted.
        await self._settle_deleted(walk.key, [entry_id for entry_id, fields in entries if not fields])
        return [entry for entry in entries if entry[1]]

    async def _claim_abandoned(self, walk: _Walk, count: int, idle: list[bytes]) -> _Entries:
        reply: Any = await self._client.xautoclaim(
            walk.key, self._streams.group, self._consumer, self._idle_ms, start_id=idle[0], count=count
        )
        claimed = read_claimed(reply)
        self._lost(walk.key, claimed.deleted)
        if claimed.unnamed:
            await self._settle_deleted(walk.key, await self._deleted_among(walk.key, idle))
        walk.at = claimed.cursor
        if claimed.cursor == _END:
            self._walks.popleft()
        self._recorder.reclaimed(self._streams.channels[walk.key], len(claimed.entries))
        return claimed.entries

    async def _deleted_among(self, key: bytes, entry_ids: list[bytes]) -> list[bytes]:
        async with self._client.pipeline(transaction=False) as pipe:
            for entry_id in entry_ids:
                pipe.xrange(key, entry_id, entry_id)
            replies = await replies_of(pipe)
        return [entry_id for entry_id, found in zip(entry_ids, replies, strict=True) if not found]

    async def _settle_deleted(self, key: bytes, entry_ids: list[bytes]) -> None:
        """Acknowledge what no longer exists; the instance whose acknowledgement counts reports the loss."""
        if not entry_ids:
            return
        async with self._client.pipeline(transaction=False) as pipe:
            for entry_id in entry_ids:
                pipe.xack(key, self._streams.group, entry_id)
            replies = await replies_of(pipe)
        self._lost(key, [entry_id for entry_id, settled in zip(entry_ids, replies, strict=True) if settled])

    def _lost(self, key: bytes, entry_ids: list[bytes]) -> None:
        channel, group = self._streams.channels[key], self._streams.group
        self._recorder.lost(
            Loss(channel, group, 1, after=entry_id.decode(), before=entry_id.decode()) for entry_id in entry_ids
        )
