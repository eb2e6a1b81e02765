"""Reads a channel and makes jobs of its events."""

from collections.abc import AsyncIterator
from typing import Final, NamedTuple

from msgspec import Struct

from domainstream.cli.common.redis_server import RedisServer
from domainstream.errors import EventDecodingError, UnknownEventTypeError
from domainstream.event import read_message
from domainstream.queue import BullMQQueue, Job, job_data, job_id
from domainstream.queue.bullmq.inspection import BullMQInspection
from domainstream.stream import Delivery

BATCH: Final = 250


class Replay(Struct, frozen=True, kw_only=True):
    """What is to be replayed, and where to."""

    channel: str
    """Whose events."""

    since: str
    """The id that the first of them has, or comes after."""

    until: str
    """The id of the last."""

    queue: str
    """The queue that gets the jobs."""

    job: str
    """Their name."""

    bull_prefix: str
    """What the keys of the queue begin with."""

    mark: str = ""
    """What the ids of the jobs end with, so that they are new to the queue; empty for the ids that a subscriber gives,
    by which the queue knows what it had.
    """


class ReplayOutcome(Struct, kw_only=True):
    """What a replay came to, or would."""

    channel: str
    """The channel's value."""

    queue: str
    """The queue's name."""

    job: str
    """The jobs' name."""

    dry_run: bool
    """Whether nothing was done."""

    events: int = 0
    """Events that were read."""

    added: int = 0
    """Jobs that were added, or would be."""

    known: int = 0
    """Events that the queue has a job of, and that are passed over."""

    unreadable: int = 0
    """Entries that can never become a job."""


class Candidate(NamedTuple):
    """An event that may become a job."""

    job: Job
    """What it would become."""

    other_id: str
    """The id that the job has where the event has several in this queue."""


async def replay_events(server: RedisServer, replay: Replay, outcome: ReplayOutcome) -> None:
    """Add the jobs, unless `outcome` says that it is a dry run; `outcome` is kept up to date, also by an error."""
    queue = BullMQQueue(server.client, bull_prefix=replay.bull_prefix)
    inspection = BullMQInspection(server.client, bull_prefix=replay.bull_prefix)
    async for batch in _batches(server, replay, outcome):
        known = await inspection.known(replay.queue, [one for job, other_id in batch for one in (job.id, other_id)])
        new = [job for job, other_id in batch if replay.mark or known.isdisjoint((job.id, other_id))]
        if not outcome.dry_run:
            await queue.add(new)
        outcome.known += len(batch) - len(new)
        outcome.added += len(new)


async def _batches(server: RedisServer, replay: Replay, outcome: ReplayOutcome) -> AsyncIterator[list[Candidate]]:
    batch: list[Candidate] = []
    async for delivery in server.streams.entries(replay.channel, since=replay.since, until=replay.until):
        outcome.events += 1
        try:
            batch.append(_candidate(delivery, replay))
        except EventDecodingError:
            outcome.unreadable += 1
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _candidate(delivery: Delivery, replay: Replay) -> Candidate:
    message = read_message(delivery.data or b"")
    if message.type != delivery.channel:
        # A subscriber makes a dead letter of such an entry.
        raise UnknownEventTypeError("of another channel", event_id=message.id, event_type=message.type)
    job = Job(replay.queue, replay.job, job_id(message.id, job=replay.mark), job_data(delivery, message))
    return Candidate(job, job_id(message.id, job=replay.job))
