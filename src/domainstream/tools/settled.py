"""Waits until everything that a transaction has led to is done, whichever services do it, in Python or in Node.js."""

import asyncio
import os
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from time import monotonic
from typing import Final, Protocol

from msgspec import Struct

from domainstream.errors import DomainStreamError, EventDecodingError, InvalidEnvelopeError
from domainstream.event import read_message
from domainstream.queue import job_origin
from domainstream.queue.bullmq.inspection import BullMQInspection, JobState
from domainstream.queue.bullmq.order import BullMQOrder
from domainstream.stream import Delivery
from domainstream.stream.inspection.index import RedisIndexSearch
from domainstream.tools.common.server import RedisServer, open_server
from domainstream.tools.event_search import Search, possible_entries, possible_jobs
from domainstream.validation import positive, raise_problems

FIRST_PAUSE: Final = 0.01
LONGEST_PAUSE: Final = 0.25
"""Seconds between two looks."""

MOST: Final = 10_000
"""How many entries of a stream without an index, and jobs of a queue, are looked at."""

NAMED: Final = 5
"""How many of what is still open the error names."""


class NotSettledError(DomainStreamError, TimeoutError):
    """A transaction was not settled in time."""

    def __init__(self, correlation_id: str, timeout: timedelta, still_open: Sequence[str]) -> None:
        self.still_open = tuple(still_open)
        """What was not done, a sentence each."""
        if still_open:
            more = f"\n  and {len(still_open) - NAMED:,} more" if len(still_open) > NAMED else ""
            what = "".join(f"\n  {each}" for each in still_open[:NAMED]) + more
        else:
            what = "\n  none of its events was published: check the id, the server and the prefix"
        super().__init__(
            f"{correlation_id} was not settled within {timeout.total_seconds():g} s:{what}\n"
            f"To see all of it, run: domainstream trace {correlation_id}"
        )


class Settled(Struct, frozen=True, kw_only=True):
    """A transaction of which nothing is open."""

    events: int
    """How many of its events are in streams."""

    failed: tuple[JobState, ...] = ()
    """The jobs that have failed permanently."""

    held: tuple[JobState, ...] = ()
    """The jobs that wait behind one that has failed, until somebody retries, skips or removes that."""

    dead_letters: int = 0
    """How many of its events became dead letters."""


class WaitingEvents(Protocol):
    """An outbox that is looked at; `OutboxInspection` is one."""

    async def waiting(self, correlation_id: str) -> list[str]:
        """Return the ids of a transaction's events that are not confirmed to be in their streams."""
        ...


async def settled(
    correlation_id: str,
    *,
    redis_url: str | None = None,
    prefix: str = "",
    bull_prefix: str = "bull",
    outboxes: Sequence[WaitingEvents] = (),
    timeout: timedelta = timedelta(seconds=30),  # noqa: ASYNC109 - the error says what is open
) -> Settled:
    """Wait until nothing of a transaction is open, and return what has become of it.

    Open are its rows in `outboxes`, its entries that a group of their stream has not acknowledged, and its jobs that
    are neither completed nor failed permanently. At least one event must be there. A group that has never read, and a
    job that was removed, are not waited for. Jobs are known for `JobSettings.keep_completed`, by default an hour.

    The server is that of `redis_url`, or of the variable REDIS_URL. It is looked at every 10 to 250 ms, each time with
    a search of its keys for channels and queues: meant for tests, and for servers with some 100,000 keys.

    Raises `NotSettledError`, which is a `TimeoutError`, after `timeout`; it names what is open. Raises `ServerError`,
    and `OutboxError` if an outbox cannot be read.
    """
    raise_problems("settled", [positive("timeout", timeout, timedelta)])
    async with open_server(redis_url or os.environ.get("REDIS_URL"), prefix) as server:
        return await settled_at(server, correlation_id, bull_prefix=bull_prefix, outboxes=outboxes, timeout=timeout)


async def settled_at(
    server: RedisServer,
    correlation_id: str,
    *,
    bull_prefix: str,
    outboxes: Sequence[WaitingEvents],
    timeout: timedelta,  # noqa: ASYNC109 - as above
) -> Settled:
    """Wait until nothing of a transaction is open on a server that is connected to; see `settled`."""
    looks = _Looks(server, correlation_id, bull_prefix=bull_prefix, outboxes=outboxes)
    deadline, pause = monotonic() + timeout.total_seconds(), FIRST_PAUSE
    # One look can miss what moves on while it looks. But each step begins before the one that led to it ends: a handler
    # publishes before its job is completed, and a subscriber adds jobs before it acknowledges. So what a first look has
    # missed shows in the second one, as something open or as one more event.
    before: frozenset[str] = frozenset()
    while True:
        look = await looks.look()
        if not look.still_open and look.events:
            if look.events == before:
                return look.settled
            before = look.events
            continue
        before = frozenset()
        if monotonic() + pause > deadline:
            raise NotSettledError(correlation_id, timeout, look.still_open)
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


class _Look(Struct, frozen=True, kw_only=True):
    events: frozenset[str]
    still_open: list[str]
    settled: Settled


class _Looks:
    """Looks at what there is of a transaction, in the order in which its events go: outboxes, streams, queues."""

    def __init__(
        self, server: RedisServer, correlation_id: str, *, bull_prefix: str, outboxes: Sequence[WaitingEvents]
    ) -> None:
        self._server = server
        self._wanted = correlation_id
        self._outboxes = outboxes
        self._index = RedisIndexSearch(server.nodes, prefix=server.prefix)
        self._queues = BullMQInspection(server.nodes, bull_prefix=bull_prefix)
        self._order = BullMQOrder(server.nodes, bull_prefix=bull_prefix)

    async def look(self) -> _Look:
        """Look once."""
        still_open = [
            f"event {event} waits in an outbox for its relay"
            for outbox in self._outboxes
            for event in await outbox.waiting(self._wanted)
        ]
        search = Search(self._wanted, limit=MOST, report=lambda _number, _place: None)
        entries = [
            entry
            async for entry in possible_entries(search, self._server.streams, self._index, since="-")
            if self._is_of(entry.data)
        ]
        still_open += await self._unsettled(entries)
        events = {read_message(entry.data).id for entry in entries if entry.data}
        failed, held = list[JobState](), list[JobState]()
        async for job in possible_jobs(search, self._queues, sorted(events)):
            if not self._has_origin(job):
                continue
            if job.state == "failed":
                failed.append(job)
            elif job.state == "waiting-children" and await self._is_held(job):
                held.append(job)
            elif job.state != "completed":
                still_open.append(f"job {job.name} ({job.job_id}) of the queue {job.queue} is {job.state}")
        settled = Settled(
            events=len(events), failed=tuple(failed), held=tuple(held), dead_letters=await self._dead_letters()
        )
        return _Look(events=frozenset(events), still_open=still_open, settled=settled)

    async def _unsettled(self, entries: Sequence[Delivery]) -> list[str]:
        by_channel: dict[str, list[str]] = {}
        for entry in entries:
            by_channel.setdefault(entry.channel, []).append(entry.entry_id)
        return [
            f"entry {entry_id} of {channel} is {state} by the group {group}"
            for channel, ids in by_channel.items()
            for entry_id, group, state in await self._server.groups.unsettled(channel, ids)
        ]

    async def _dead_letters(self) -> int:
        return sum(
            [
                self._is_of(stored.dead_letter.delivery.data)
                for channel in await self._server.dead_letters.channels()
                async for stored in self._server.dead_letters.dead_letters(channel)
            ]
        )

    async def _is_held(self, job: JobState) -> bool:
        place = await self._order.place_of(job.queue, job.job_id)
        return place is not None and (await self._order.key(job.queue, place.key)).held is not None

    def _is_of(self, data: bytes | None) -> bool:
        """Return whether the data is an event of the transaction."""
        with suppress(EventDecodingError):
            message = read_message(data) if data else None
            return message is not None and self._wanted == (message.correlationid or message.id)
        return False

    def _has_origin(self, job: JobState) -> bool:
        """Return whether a job belongs to the transaction, also one that another program has added."""
        try:
            return job_origin(job.data).correlation_id == self._wanted
        except InvalidEnvelopeError:
            return False
