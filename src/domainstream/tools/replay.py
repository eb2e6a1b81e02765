"""Adds jobs for the events of a channel to one queue again."""

from collections.abc import AsyncIterator
from typing import Final, NamedTuple

from msgspec import Struct
from redis.asyncio import Redis

from domainstream.errors import EventDecodingError
from domainstream.event import read_message
from domainstream.queue import BullMQQueue, Job, job_data, job_id
from domainstream.queue.bullmq.inspection import BullMQInspection
from domainstream.stream import Delivery
from domainstream.stream.inspection.streams import RedisStreamInspection

BATCH: Final = 250


class Replay(Struct, frozen=True, kw_only=True):
    """Which events are replayed, and to which queue."""

    channel: str
    """The channel whose events are replayed."""

    since: str
    """The entry id at which to start; entries with this id or a later one are read."""

    until: str
    """The id of the last entry to read."""

    queue: str
    """The queue that gets the jobs."""

    job: str
    """The jobs' name."""

    prefix: str
    """The prefix of the stream's key."""

    bull_prefix: str
    """The prefix of the queue's keys."""

    mark: str = ""
    """Suffix of the job ids that makes them new to the queue.

    When empty, jobs get the ids that a subscriber would give them, by which the queue recognises the jobs it has.
    """


class ReplayOutcome(Struct, kw_only=True):
    """The result of a replay or, for a dry run, its forecast."""

    channel: str
    """The channel's value."""

    queue: str
    """The queue's name."""

    job: str
    """The jobs' name."""

    dry_run: bool
    """Whether nothing was added."""

    events: int = 0
    """Entries that were read."""

    added: int = 0
    """Jobs that were added, or would be."""

    known: int = 0
    """Events that were skipped because the queue has a job for them."""

    unreadable: int = 0
    """Entries that can never become a job."""


class Candidate(NamedTuple):
    """An event that may become a job."""

    job: Job
    """The job that it would become."""

    other_id: str
    """The id of that job if the queue has several jobs for the event."""


async def replay_events(client: Redis, replay: Replay, outcome: ReplayOutcome) -> None:
    """Add the jobs unless `outcome.dry_run` is set; `outcome` is updated per batch, so an error leaves it correct."""
    queue = BullMQQueue(client, bull_prefix=replay.bull_prefix)
    inspection = BullMQInspection(client, bull_prefix=replay.bull_prefix)
    async for batch in _batches(client, replay, outcome):
        ids = [candidate_id for job, other_id in batch for candidate_id in (job.id, other_id)]
        known = await inspection.known(replay.queue, ids)
        new = [job for job, other_id in batch if replay.mark or known.isdisjoint((job.id, other_id))]
        if not outcome.dry_run:
            await queue.add(new)
        outcome.known += len(batch) - len(new)
        outcome.added += len(new)


async def _batches(client: Redis, replay: Replay, outcome: ReplayOutcome) -> AsyncIterator[list[Candidate]]:
    streams = RedisStreamInspection(client, prefix=replay.prefix)
    batch: list[Candidate] = []
    async for delivery in streams.entries(replay.channel, since=replay.since, until=replay.until):
        outcome.events += 1
        candidate = _candidate(delivery, replay)
        if candidate is None:
            outcome.unreadable += 1
        else:
            batch.append(candidate)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _candidate(delivery: Delivery, replay: Replay) -> Candidate | None:
    """Return the job of an entry; None for one that a subscriber stores as a dead letter."""
    try:
        message = read_message(delivery.data or b"")
    except EventDecodingError:
        return None
    if message.type != delivery.channel:
        return None
    job = Job(replay.queue, replay.job, job_id(message.id, job=replay.mark), job_data(delivery, message))
    return Candidate(job, job_id(message.id, job=replay.job))
