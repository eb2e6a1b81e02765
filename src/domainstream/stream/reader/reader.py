"""Reads all channels of a consumer group from Redis with one blocking command. Implements `StreamReader`."""

import asyncio
import socket
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from time import monotonic
from typing import Final, Self

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from domainstream.errors import ServerError, ServerUnavailableError
from domainstream.redis.connection import accepted, connect, link_pool_like, replies_of
from domainstream.redis.errors import code_of, translated_errors
from domainstream.redis.link import RedisLink, Reply
from domainstream.stream.port import Delivery, ReaderSettings
from domainstream.stream.reader.group_streams import AdaptiveBatchSize, RedisGroupStreams, group_is_gone
from domainstream.stream.reader.loss_detector import RedisLossDetector
from domainstream.stream.reader.reclaimer import RedisStreamReclaimer
from domainstream.stream.reader.stats import OnLoss, ReaderStats, ReaderStatsRecorder
from domainstream.validation import plain_name, raise_problems

REPLY_MARGIN: Final = timedelta(seconds=5)
"""How much longer than it may block a read may take before its connection is given up."""

DEFAULTS: Final = ReaderSettings()


def default_consumer() -> str:
    """Return the consumer name of an instance that was given none: this host's name and `-subscriber`."""
    return f"{socket.gethostname()}-subscriber"


class RedisStreamReader:
    """A `StreamReader` on Redis or Valkey.

    It needs two connections, however many channels it reads: one that blocks, one for everything else. A loss is found
    once, by one instance of the group; if that instance crashes at that moment, the loss is not reported.
    """

    def __init__(
        self,
        client: Redis,
        channels: Iterable[str],
        *,
        group: str,
        consumer: str | None = None,
        prefix: str = "",
        settings: ReaderSettings = DEFAULTS,
        on_loss: OnLoss | None = None,
    ) -> None:
        """Read `channels` through `client`, which the caller closes, and report losses to `on_loss`.

        `client` must return bytes; for the reads that block, the reader makes a connection of its own to the same
        server. Raises `ConfigurationError` for an empty `group`, or without channels.
        """
        self.group = plain_name(group)
        """The consumer group, the same on every stream."""
        self.consumer = plain_name(consumer) or default_consumer()
        """The name in the group that entries are delivered to. It must be stable, so that a restarted instance finds
        what it left pending at once, and each instance needs its own: by default it is the host's name and
        `-subscriber`, so set names when several instances share a host. Two readers with one name lose nothing, but
        handle some entries twice; a subscriber holds a `RedisConsumerLease` against that.
        """
        self._client = client
        self._settings = settings
        self._streams = RedisGroupStreams(client, channels, group=group, prefix=prefix)
        raise_problems(
            "The reader",
            [
                None if group.strip() else "the consumer group's name is empty; use group='domain-events'",
                None if self._streams.channels else "there is no channel to read; name at least one",
            ],
        )
        self._recorder = ReaderStatsRecorder(self.group, on_loss)
        self._detector = RedisLossDetector(self._streams)
        self._batch_size = AdaptiveBatchSize(settings, len(self._streams.channels))
        self._reclaimer = RedisStreamReclaimer(client, self._streams, self.consumer, settings, self._recorder)
        self._groups_exist = False
        self._must_recover = True
        self._next_sweep = 0.0
        self._closed = asyncio.Event()
        self._link = RedisLink(link_pool_like(client))
        self._block_ms = max(1, round(settings.block.total_seconds() * 1000))
        self._read_timeout = (settings.block + REPLY_MARGIN).total_seconds()
        self._streams_after: list[str | bytes] = [*self._streams.channels, *(">" for _ in self._streams.channels)]
        self._owned = AsyncExitStack()

    @classmethod
    def from_url(
        cls,
        url: str,
        channels: Iterable[str],
        *,
        group: str,
        consumer: str | None = None,
        prefix: str = "",
        settings: ReaderSettings = DEFAULTS,
        on_loss: OnLoss | None = None,
    ) -> Self:
        """Return a reader that owns its connections; the constructor says what the rest means."""
        client = connect(url)
        reader = cls(
            client, channels, group=group, consumer=consumer, prefix=prefix, settings=settings, on_loss=on_loss
        )
        reader._owned.push_async_callback(client.aclose)
        return reader

    @property
    def stats(self) -> ReaderStats:
        """What the reader has met since it was made."""
        return self._recorder.stats

    async def read(self) -> Sequence[Delivery]:
        """Return what is pending, page by page, else new entries; see `StreamReader.read`."""
        if self._closed.is_set():
            raise ServerUnavailableError("the reader is closed; make a new one with RedisStreamReader.from_url(...)")
        try:
            with translated_errors(self._client):
                if not self._groups_exist:
                    await self._streams.make_groups()
                    self._groups_exist = True
                deliveries = await self._read()
        except ServerError:
            if self._closed.is_set():  # closing took the connection from this read
                return []
            raise
        self._recorder.read(len(deliveries))
        return deliveries

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """Acknowledge with one command per channel, all in one round trip; see `StreamReader.acknowledge`."""
        ids: dict[bytes, list[str]] = {}
        for delivery in deliveries:
            ids.setdefault(self._streams.keys[delivery.channel], []).append(delivery.entry_id)
        with translated_errors(self._client):
            async with self._client.pipeline(transaction=False) as pipe:
                for key, entry_ids in ids.items():
                    pipe.xack(key, self.group, *entry_ids)
                await replies_of(pipe)

    async def close(self) -> None:
        """Close the reader's own connections; a read that blocks returns nothing. See `StreamReader.close`."""
        self._closed.set()
        await self._link.close()
        await self._owned.aclose()

    async def _read(self) -> list[Delivery]:
        if self._must_recover or (self._reclaimer.is_idle and monotonic() >= self._next_sweep):
            self._reclaimer.begin(own=self._must_recover)
            self._next_sweep = monotonic() + self._settings.claim_after.total_seconds() / 2
        # Until the reply is here, entries may be under way that only a look at the pending list would find.
        self._must_recover = True
        try:
            deliveries = await self._reclaimer.page() or await self._new_entries()
        except ResponseError as error:
            if code_of(error) == "UNBLOCKED":
                return []  # the next read finds out whether the group is gone, or the server only not the primary
            if not group_is_gone(error):
                raise
            self._recorder.recreated(await self._streams.make_groups())
            return []
        self._must_recover = False
        return deliveries

    async def _new_entries(self) -> list[Delivery]:
        """Wait for new entries, behind a check for losses that goes out in the same write."""
        check = self._detector.check()
        limits = ("COUNT", self._batch_size.count, "BLOCK", self._block_ms)
        read = ("XREADGROUP", "GROUP", self.group, self.consumer, *limits, "STREAMS", *self._streams_after)
        replies: list[Reply] = []
        try:
            await self._link.send(*((check, read) if check else (read,)), seconds=self._read_timeout, replies=replies)
        finally:
            # Losses first: they come before the entries. Also when the read fails, for which the check does not wait:
            # the server counts what it has found as reported, so no other reader will report it.
            if check and replies and not isinstance(replies[0], Exception):
                self._recorder.lost(self._detector.losses(replies[0]))
        accepted(replies[0])
        reply = accepted(replies[-1]) or ()
        deliveries = [delivery for key, entries in reply for delivery in self._streams.new_entries(key, entries)]
        self._detector.note_reads(key for key, _ in reply)
        self._batch_size.learn(deliveries, max((len(entries) for _, entries in reply), default=0))
        return deliveries
