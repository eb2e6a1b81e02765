"""Collects the metrics of streams, groups, dead letters and queues, by the inspections that the commands use."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from domainstream.errors import ServerError, ServerUnavailableError
from domainstream.queue.bullmq.inspection import BullMQInspection
from domainstream.queue.bullmq.order import BullMQOrder
from domainstream.queue.bullmq.queue_states import QueueState
from domainstream.queue.bullmq.scripts import queue_key
from domainstream.queue.bullmq.workers import worker_counts
from domainstream.redis.asking import clocks_of
from domainstream.redis.keys import stream_key
from domainstream.redis.nodes import RedisNodes
from domainstream.redis.topology import Address
from domainstream.stream import GroupState, StreamState
from domainstream.stream.dead_letters import RedisDeadLetterInspection
from domainstream.stream.inspection.groups import RedisGroupInspection
from domainstream.stream.inspection.streams import RedisStreamInspection
from domainstream.stream.state import ms_of
from domainstream.tools.metrics.source import PartlyCollectedError
from domainstream.tools.metrics.table import Metric, Sample

COUNTED: Final = 10_000
"""How many unread entries are counted where the server has lost count."""

HELD_JOBS: Final = 1_000
"""How many failed jobs of a queue are looked at for held keys, the last ones."""


class Names(NamedTuple):
    """What a search has found."""

    channels: list[str]
    """The channels that have a stream."""

    with_dead_letters: list[str]
    """These, and others that have dead letters."""

    queues: list[str]
    """BullMQ's names of the queues."""


class RedisSource:
    """The streams below one prefix and the queues below another. A `Source`, for one task."""

    name = "redis"

    def __init__(self, nodes: RedisNodes, *, prefix: str, bull_prefix: str) -> None:
        """Look through `nodes`, which are closed with the source.

        Raises `MissingExtraError` without the package `bullmq`.
        """
        self._nodes = nodes
        self._prefix, self._bull_prefix = prefix, bull_prefix
        self._streams = RedisStreamInspection(nodes, prefix=prefix)
        self._groups = RedisGroupInspection(nodes, prefix=prefix)
        self._dead_letters = RedisDeadLetterInspection(nodes, prefix=prefix)
        self._queues = BullMQInspection(nodes, bull_prefix=bull_prefix)
        self._order = BullMQOrder(nodes, bull_prefix=bull_prefix)
        self._found: Names | ServerError | None = None
        self._searched = asyncio.Event()

    async def search(self) -> None:
        """Look for channels and queues, which scans all keys of the server. Raises `ServerError`."""
        try:
            channels = await self._streams.channels()
            with_dead_letters = sorted({*channels, *await self._dead_letters.channels()})
            self._found = Names(channels, with_dead_letters, await self._queues.queues())
        except ServerError as error:
            self._found = self._found if isinstance(self._found, Names) else error
            raise
        finally:
            self._searched.set()

    async def collect(self) -> list[Sample]:
        """Return all samples of what the latest search has found.

        Raises `PartlyCollectedError` with those of the nodes that answer when others do not, and `ServerError`.
        """
        await self._searched.wait()
        if not isinstance(self._found, Names):
            raise self._found or ServerUnavailableError("the first search was not finished")
        parts = await self._parts(self._found)
        if not parts:
            await self._streams.now_ms()  # which fails if the server does
        samples, problems = list[Sample](), list[ServerError]()
        for result in await asyncio.gather(*map(self._part_samples, parts), return_exceptions=True):
            if isinstance(result, ServerError):
                problems.append(result)
            elif isinstance(result, BaseException):
                raise result
            else:
                samples += result
        if problems:
            raise PartlyCollectedError(samples, str(problems[0]))
        return samples

    async def close(self) -> None:
        """Close the connections."""
        await self._nodes.close()

    async def _parts(self, found: Names) -> list[Names]:
        """Return what each node has, so that one that does not answer costs nothing of the others."""
        parts: dict[Address, Names] = {}
        for kind, names in enumerate(found):
            for name in names:
                key = self._queue_key(name) if names is found.queues else stream_key(name, self._prefix)
                part = parts.setdefault(await self._nodes.address_of(key), Names([], [], []))
                part[kind].append(name)
        return [*parts.values()]

    async def _part_samples(self, part: Names) -> list[Sample]:
        """Return the samples of what one node has."""
        keys = [
            *(stream_key(name, self._prefix) for name in part.with_dead_letters),
            *map(self._queue_key, part.queues),
        ]
        now_ms = (await clocks_of(self._nodes, keys[:1]))[keys[0]]
        dead_letters = await self._dead_letters.counts(part.with_dead_letters)
        return [
            *await self._stream_samples(part.channels, now_ms),
            *(Sample(Metric.DEAD_LETTERS, count, (channel,)) for channel, count in dead_letters.items()),
            *await self._queue_samples(part.queues, now_ms),
        ]

    def _queue_key(self, queue: str) -> str:
        return queue_key(self._bull_prefix, queue, "")

    async def _stream_samples(self, channels: Sequence[str], now_ms: int) -> list[Sample]:
        samples: list[Sample] = []
        streams = await self._streams.streams(channels)
        for stream in streams:
            key = (f"db{self._nodes.database}", stream_key(stream.channel, self._prefix))
            samples.append(Sample(Metric.STREAM_LENGTH, stream.length, key))
            samples.append(Sample(Metric.STREAM_GROUPS, stream.groups, key))
            if not stream.groups:
                samples.append(_never_read(stream, now_ms))
        for group in await self._groups.groups_of(streams, count_at_most=COUNTED):
            samples += self._group_samples(group)
        return samples

    def _group_samples(self, state: GroupState) -> Iterator[Sample]:
        key = (f"db{self._nodes.database}", stream_key(state.channel, self._prefix), state.group)
        yield Sample(Metric.GROUP_CONSUMERS, state.consumers, key)
        yield Sample(Metric.GROUP_LAG, state.unread, key)
        yield Sample(Metric.GROUP_PENDING, state.pending, key)
        yield Sample(Metric.OLDEST_EVENT, _seconds(state.oldest_ms), (state.channel, state.group))
        yield Sample(Metric.LOST_ENTRIES, state.lost, (state.channel, state.group))

    async def _queue_samples(self, queues: Sequence[str], now_ms: int) -> list[Sample]:
        samples: list[Sample] = []
        states = {state.queue: state for state in await self._queues.states(queues)}
        for state in states.values():
            samples += _job_samples(state)
        if queues and (workers := await worker_counts(self._nodes, queues, bull_prefix=self._bull_prefix)) is not None:
            samples += [Sample(Metric.QUEUE_WORKERS, count, (queue,)) for queue, count in workers.items()]
        for queue, order in (await self._order.states(queues)).items():
            samples.append(Sample(Metric.WAITING_IN_ORDER, order.waiting, (queue,)))
            samples.append(Sample(Metric.MAILBOX, order.mailbox, (queue,)))
            has_failed = bool(states[queue].failed)
            held = [key async for key in self._order.held(queue, most=HELD_JOBS)] if has_failed else []
            since_ms = min((key.since_ms for key in held), default=now_ms)
            samples.append(Sample(Metric.HELD_KEYS, len(held), (queue,)))
            samples.append(Sample(Metric.OLDEST_HELD_KEY, _seconds(max(0, now_ms - since_ms)), (queue,)))
            samples.append(Sample(Metric.BEHIND_HELD_KEYS, sum(key.waiting for key in held), (queue,)))
        return samples


def _never_read(stream: StreamState, now_ms: int) -> Sample:
    oldest_ms = max(0, now_ms - ms_of(stream.first_id)) if stream.first_id else None
    return Sample(Metric.OLDEST_EVENT, _seconds(oldest_ms), (stream.channel, ""))


def _job_samples(state: QueueState) -> Iterator[Sample]:
    counts = {
        "waiting": 0 if state.is_paused else state.waiting,
        "paused": state.waiting if state.is_paused else 0,
        "active": state.active,
        "delayed": state.delayed,
        "prioritized": state.prioritized,
        "waiting-children": state.waiting_children,
        "completed": state.completed,
        "failed": state.failed,
    }
    for name, count in counts.items():
        yield Sample(Metric.JOB_COUNT, count, (state.queue, name))
    yield Sample(Metric.OLDEST_JOB, _seconds(state.oldest_ms), (state.queue,))
    yield Sample(Metric.OLDEST_WAITING_JOB, _seconds(state.oldest_waiting_ms), (state.queue,))
    yield Sample(Metric.OLDEST_FAILED_JOB, _seconds(state.oldest_failed_ms), (state.queue,))
    yield Sample(Metric.QUEUE_PAUSED, float(state.is_paused), (state.queue,))


def _seconds(milliseconds: int | None) -> float:
    return (milliseconds or 0) / 1000
