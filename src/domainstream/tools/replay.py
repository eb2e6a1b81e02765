"""Adds jobs for the events of a channel to one queue again."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final, NamedTuple

from msgspec import Struct

from domainstream.channel.partitions import channel_of, partition_of
from domainstream.errors import ConfigurationError, EventDecodingError, ServerRefusedError
from domainstream.event import read_message
from domainstream.event.trace_context import trace_of
from domainstream.queue import (
    BullMQJobAdder,
    BullMQQueue,
    ChannelEpoch,
    Job,
    RoutedEntry,
    job_data,
    job_id,
    order_place,
)
from domainstream.queue.bullmq.inspection import BullMQInspection
from domainstream.queue.bullmq.repair import BullMQRepair
from domainstream.queue.partitions import queues_of
from domainstream.queue.settings import OnFailure
from domainstream.redis.nodes import RedisNodes
from domainstream.stream import Delivery
from domainstream.stream.inspection.streams import RedisStreamInspection
from domainstream.subscriber.subscriptions import DEFAULT_SETTINGS, IN_ORDER_SETTINGS, OrderBy

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

    partitions: int = 1
    """Over how many BullMQ queues that queue is spread."""

    prefix: str
    """The prefix of the stream's key."""

    bull_prefix: str
    """The prefix of the queue's keys."""

    mark: str = ""
    """Suffix of the job ids that makes them new to the queue.

    When empty, jobs get the ids that a subscriber would give them, by which the queue recognises the jobs it has.
    """

    order_by: OrderBy | None = None
    """Returns the key by which the queue's jobs are ordered, as its subscriptions say; None adds them in no order."""

    on_failure: OnFailure = "hold"
    """What becomes of the jobs behind one that has failed permanently, if they are ordered."""

    event_ids: frozenset[str] = frozenset()
    """The events that are replayed; empty for all."""

    only_failed: bool = False
    """Whether only events whose job in the queue has failed are replayed, by retrying that job."""


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

    may_repeat: int = 0
    """Events among these of which the queue had no job, although it has had jobs: they never had one, or their job was
    completed and has been removed since.
    """

    repeated: int = 0
    """Events among these that the queue has a job for anyway; only with `Replay.mark`."""

    retried: int = 0
    """Failed jobs that were retried, or would be; only with `Replay.only_failed`."""

    known: int = 0
    """Events that were skipped because the queue has a job for them."""

    completed: int = 0
    """Events whose job in the queue is completed, skipped or not."""

    failed: int = 0
    """Events whose job in the queue has failed, skipped or not."""

    unreadable: int = 0
    """Entries that can never become a job."""

    missing: tuple[str, ...] = ()
    """The wanted events that are not in the stream, sorted."""


class Candidate(NamedTuple):
    """An event that may become a job."""

    job: Job
    """The job that it would become."""

    event_id: str
    """The event's id."""

    delivery: Delivery
    """Its entry."""


_Add = Callable[[Sequence[Candidate]], Awaitable[None]]


async def replay_events(nodes: RedisNodes, replay: Replay, outcome: ReplayOutcome) -> None:
    """Add or retry the jobs unless `outcome.dry_run` is set.

    `outcome` is updated per batch, so an error leaves it correct. What subscribers have noted of the queue's progress
    does not matter here: jobs are added whatever it says.

    Raises `ConfigurationError` for a replay in order if `nodes` were made of a client.
    """
    adding = _adding(nodes, replay) if replay.order_by is None else _adding_in_order(nodes, replay)
    async with adding as add:
        await _replay_by(add, nodes, replay, outcome)


@asynccontextmanager
async def _adding(nodes: RedisNodes, replay: Replay) -> AsyncIterator[_Add]:
    """Yield what adds the jobs of events in no order."""
    queue = BullMQQueue.of(nodes, bull_prefix=replay.bull_prefix)
    try:
        yield lambda events: queue.add([event.job for event in events])
    finally:
        await queue.close()


@asynccontextmanager
async def _adding_in_order(nodes: RedisNodes, replay: Replay) -> AsyncIterator[_Add]:
    """Yield what adds the jobs of events to those of their keys, as subscribers do it."""
    queues = queues_of(replay.queue, replay.partitions)
    # It has no lease: what it adds is not compared with the marks of subscribers, and moves none.
    epoch = ChannelEpoch(mark="replay", epoch=0, queues=queues, is_ordered=False)
    if nodes.topology is None:
        raise ConfigurationError("The replay cannot be in order:", ["the nodes have no URL; use RedisNodes.open"])
    rules = dict.fromkeys(queues, replay.on_failure)
    adder = BullMQJobAdder.from_url(nodes.topology, group="replay", bull_prefix=replay.bull_prefix, on_failure=rules)

    async def add(events: Sequence[Candidate]) -> None:
        entries = [RoutedEntry(event.delivery, (event.job,)) for event in events]
        for refusal in await adder.add(replay.channel, entries, epoch):
            raise ServerRefusedError(f"BullMQ did not add the job of the entry {refusal.entry_id}: {refusal.reason}")

    try:
        yield add
    finally:
        await adder.close()


async def _replay_by(add: _Add, nodes: RedisNodes, replay: Replay, outcome: ReplayOutcome) -> None:
    inspection = BullMQInspection(nodes, bull_prefix=replay.bull_prefix)
    repair = BullMQRepair(nodes, bull_prefix=replay.bull_prefix) if replay.only_failed else None
    known_queues = frozenset(await inspection.queues())
    had_jobs = any(inspection.name_of(name) in known_queues for name in queues_of(replay.queue, replay.partitions))
    async for batch in _batches(nodes, replay, outcome):
        states = await _states(inspection, batch, replay.job)
        jobs = [_known(states, one, replay.job) for one in batch]
        failed = [(one.job.queue, found) for one, (found, state) in zip(batch, jobs, strict=True) if state == "failed"]
        outcome.completed += sum(state == "completed" for _, state in jobs)
        outcome.failed += len(failed)
        if repair is not None:
            for name in dict.fromkeys(queue for queue, _ in failed):
                own = [found for queue, found in failed if queue == name]
                outcome.retried += len(own) if outcome.dry_run else await repair.retry(name, own)
            continue
        new = [one for one, (found, _) in zip(batch, jobs, strict=True) if replay.mark or not found]
        has_job = sum(bool(found) for found, _ in jobs)
        if not outcome.dry_run:
            await add(new)
        outcome.known += len(batch) - len(new)
        outcome.added += len(new)
        outcome.repeated += has_job if replay.mark else 0
        outcome.may_repeat += len(batch) - has_job if had_jobs else 0


async def _states(inspection: BullMQInspection, batch: Sequence[Candidate], job: str) -> dict[str, str]:
    """Return the states of the jobs that the queues have for a batch of events; see `BullMQInspection.known`."""
    ids: dict[str, list[str]] = {}
    for one in batch:
        ids.setdefault(one.job.queue, []).extend((job_id(one.event_id), job_id(one.event_id, job=job)))
    found = [await inspection.known(queue, own) for queue, own in ids.items()]
    return {known: state for states in found for known, state in states.items()}


def _known(states: Mapping[str, str], one: Candidate, job: str) -> tuple[str, str]:
    """Return id and state of the job that a queue has for an event, under either id that a subscriber gives."""
    ids = (job_id(one.event_id), job_id(one.event_id, job=job))
    return next(((known, states[known]) for known in ids if known in states), ("", ""))


async def _batches(nodes: RedisNodes, replay: Replay, outcome: ReplayOutcome) -> AsyncIterator[list[Candidate]]:
    batch: list[Candidate] = []
    async for candidate in _candidates(nodes, replay, outcome):
        batch.append(candidate)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


async def _candidates(nodes: RedisNodes, replay: Replay, outcome: ReplayOutcome) -> AsyncIterator[Candidate]:
    streams = RedisStreamInspection(nodes, prefix=replay.prefix)
    missing, place = set(replay.event_ids), ""
    async for delivery in streams.entries(replay.channel, since=replay.since, until=replay.until):
        candidate = _candidate(delivery, replay, place)
        if candidate is None:
            # It has no job that could have failed, and whether it is one of the wanted events is unknown.
            if not replay.event_ids and not replay.only_failed:
                outcome.events += 1
                outcome.unreadable += 1
            continue
        place = candidate.job.order_place
        if replay.event_ids and candidate.event_id not in missing:
            continue
        missing.discard(candidate.event_id)
        outcome.events += 1
        yield candidate
        if replay.event_ids and not missing:
            break
    outcome.missing = tuple(sorted(missing))


def _candidate(delivery: Delivery, replay: Replay, place: str) -> Candidate | None:
    """Return the job of an entry, at `place` or behind it; None for one that a subscriber stores as a dead letter."""
    try:
        message = read_message(delivery.data or b"")
    except EventDecodingError:
        return None
    if message.type != channel_of(delivery.channel):
        return None
    queues = queues_of(replay.queue, replay.partitions)
    queue = queues[partition_of(message.partitionkey or message.subject, len(queues))]
    job = Job(
        queue,
        replay.job,
        job_id(message.id, job=replay.mark),
        job_data(delivery, message),
        DEFAULT_SETTINGS if replay.order_by is None else IN_ORDER_SETTINGS,
        "" if replay.order_by is None else replay.order_by(message),
        max(place, order_place(delivery, message.time)),
        trace_of(message),
    )
    return Candidate(job, message.id, delivery)
