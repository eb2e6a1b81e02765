"""Reads all channels of a consumer group from Redis with one blocking command. Implements `port.StreamReader`."""

import asyncio
import socket
from collections.abc import Iterable, Sequence
from datetime import timedelta
from time import monotonic
from typing import Any, Final, Self

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from domainstream.errors import ServerError, ServerUnavailableError
from domainstream.redis.connection import connect
from domainstream.redis.errors import translated_errors
from domainstream.redis.link import Arguments, RedisLink
from domainstream.stream.port import Delivery
from domainstream.stream.reader.adaptive_batch_size import AdaptiveBatchSize
from domainstream.stream.reader.group_streams import RedisGroupStreams, answer_of, answers_of, group_is_gone
from domainstream.stream.reader.loss_detector import RedisLossDetector
from domainstream.stream.reader.reclaimer import RedisStreamReclaimer
from domainstream.stream.reader.stats import OnLoss, ReaderStats, ReaderStatsRecorder
from domainstream.stream.settings import ReaderSettings
from domainstream.validation import raise_problems

REPLY_MARGIN: Final = timedelta(seconds=5)
"""How much longer than it may block a read may take before its connection is given up."""

DEFAULTS: Final = ReaderSettings()


def default_consumer() -> str:
    """Return the consumer name of an instance that was given none: this host's name and `-subscriber`."""
    return f"{socket.gethostname()}-subscriber"


class RedisStreamReader:
    """A `StreamReader` on Redis or Valkey.

    It needs two connections, however many the channels: one to read, one for all else. A loss is found once, by one
    instance of the group; one that crashes in that moment does not tell it.
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
        """Read `channels` through `client`, which the reader then owns, and tell losses to `on_loss`.

        Replies to `client` must be bytes, and may take longer than `settings.block`. Raises `ConfigurationError` for an
        empty `group`, or without channels.
        """
        self.group = group
        """The consumer group, the same on every stream."""
        self.consumer = consumer or default_consumer()
        """The name in the group that entries are delivered to. It must be stable, so that a restarted instance finds
        what it left behind at once, and each instance needs its own: by default it is the host's name and
        `-subscriber`, so give names when several instances share a host. Two instances of one name still lose nothing,
        but do some entries twice.
        """
        self._client = client
        self._settings = settings
        self._streams = RedisGroupStreams(client, channels, group=group, prefix=prefix)
        raise_problems("The reader", _problems(self._streams))
        self._recorder = ReaderStatsRecorder(group, on_loss)
        self._detector = RedisLossDetector(self._streams)
        self._size = AdaptiveBatchSize(settings, len(self._streams.channels))
        self._reclaimer = RedisStreamReclaimer(client, self._streams, self.consumer, settings, self._recorder)
        self._groups_exist = False
        self._disturbed = True
        self._next_sweep = 0.0
        self._closed = asyncio.Event()
        self._link = RedisLink(client)
        self._block_ms = max(1, round(settings.block.total_seconds() * 1000))
        self._patience = (settings.block + REPLY_MARGIN).total_seconds()
        self._streams_after: list[str | bytes] = [*self._streams.channels, *(">" for _ in self._streams.channels)]

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
        """Return a reader with connections of its own; the constructor says what the rest means."""
        client = connect(url, reply_timeout=settings.block + REPLY_MARGIN)
        return cls(client, channels, group=group, consumer=consumer, prefix=prefix, settings=settings, on_loss=on_loss)

    @property
    def counts(self) -> ReaderStats:
        """What the reader has met since it was made."""
        return self._recorder.counts

    async def read(self) -> Sequence[Delivery]:
        """Return what waits unacknowledged, page by page, else news; see `port.StreamReader.read`."""
        if self._closed.is_set():
            raise ServerUnavailableError("the reader is closed; make a new one with RedisStreamReader.from_url(...)")
        try:
            with translated_errors(self._client):
                deliveries = await self._read()
        except ServerError:
            if self._closed.is_set():  # it took the connection from this read
                return []
            raise
        self._recorder.read(len(deliveries))
        return deliveries

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """Acknowledge with one command per channel, all in one round trip; see `port.StreamReader.acknowledge`."""
        ids: dict[bytes, list[str]] = {}
        for delivery in deliveries:
            ids.setdefault(self._streams.keys[delivery.channel], []).append(delivery.entry_id)
        with translated_errors(self._client):
            async with self._client.pipeline(transaction=False) as pipe:
                for key, entry_ids in ids.items():
                    pipe.xack(key, self.group, *entry_ids)
                await answers_of(pipe)

    async def close(self) -> None:
        """Close the connections; a read that blocks returns nothing. See `port.StreamReader.close`."""
        self._closed.set()
        await self._link.close()
        await self._client.aclose()

    async def _read(self) -> list[Delivery]:
        await self._make_groups()
        try:
            return await self._next()
        except ResponseError as error:
            if not group_is_gone(error):
                raise
            self._recorder.recreated(await self._streams.make_groups())
            return []

    async def _make_groups(self) -> None:
        if not self._groups_exist:
            await self._streams.make_groups()
            self._groups_exist = True

    async def _next(self) -> list[Delivery]:
        if self._disturbed or (self._reclaimer.at_rest and monotonic() >= self._next_sweep):
            self._reclaimer.begin(own=self._disturbed)
            self._next_sweep = monotonic() + self._settings.claim_after.total_seconds() / 2
        # Until the reply is here, entries may be on their way that only looking back would find.
        self._disturbed = True
        deliveries = await self._reclaimer.page() or await self._new_entries()
        self._disturbed = False
        return deliveries

    async def _new_entries(self) -> list[Delivery]:
        check = self._detector.check()
        commands = [command for command in (check, self._command()) if command]
        replies = await self._link.send(*commands, seconds=self._patience)
        # Losses first: they come before the entries, and no other reader will tell them.
        if check:
            self._recorder.lost(self._detector.losses(answer_of(replies[0])))
        return self._deliveries(answer_of(replies[-1]))

    def _command(self) -> Arguments:
        limits = ("COUNT", self._size.count, "BLOCK", self._block_ms)
        return ("XREADGROUP", "GROUP", self.group, self.consumer, *limits, "STREAMS", *self._streams_after)

    def _deliveries(self, reply: Any) -> list[Delivery]:
        reply = reply or ()  # no news
        found = [one for key, entries in reply for one in self._streams.new_entries(key, entries)]
        self._detector.note_reads(key for key, _ in reply)
        self._size.learn(found, max((len(entries) for _, entries in reply), default=0))
        return found


def _problems(streams: RedisGroupStreams) -> list[str | None]:
    return [
        None if streams.group.strip() else "the consumer group's name is empty; type: group='domain-events'",
        None if streams.channels else "there is no channel to read; name at least one",
    ]
