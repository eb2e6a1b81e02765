"""Inspects BullMQ queues without changing them."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct
from redis.asyncio import Redis

from domainstream.queue.bullmq.scripts import queue_key
from domainstream.redis.connection import replies_of
from domainstream.redis.errors import translated_errors
from domainstream.redis.keys import keys_like

PAGE: Final = 500

_LISTS: Final = ("wait", "paused", "active")
# In the order in which jobs pass through them: one that moves while we read is seen twice rather than never.
_STATES: Final = ("delayed", "prioritized", "waiting-children", *_LISTS, "completed", "failed")
_FIELDS: Final = ("name", "data", "timestamp", "processedOn", "finishedOn", "atm")


class QueueState(Struct, frozen=True, kw_only=True):
    """How many jobs of a queue are in which state."""

    queue: str
    """The queue's name."""

    waiting: int
    """Jobs that may begin, those of a paused queue included."""

    active: int
    """Jobs that are being handled."""

    delayed: int
    """Jobs that may begin later, including those that failed and will be retried."""

    prioritized: int
    """Jobs with a priority that may begin."""

    waiting_children: int
    """Jobs that wait for other jobs."""

    completed: int
    """Jobs that are done and still kept."""

    failed: int
    """Jobs that failed permanently and are still kept."""

    is_paused: bool
    """Whether the queue is paused, so that no job begins."""


class JobState(Struct, frozen=True, kw_only=True):
    """One job as it is kept."""

    queue: str
    """The queue's name."""

    job_id: str
    """The job's id."""

    name: str
    """The job's name."""

    state: str
    """As BullMQ calls it: `wait`, `active`, `delayed`, `completed`, `failed`, ..."""

    data: bytes
    """The job's data."""

    added_ms: int
    """When it was added, in milliseconds since 1970."""

    started_ms: int | None
    """When it began last; None before."""

    ended_ms: int | None
    """When it was completed or failed; None before."""

    attempts: int
    """How many attempts were made."""


class BullMQInspection:
    """The queues of one prefix.

    For one task. Raises the same errors as `JobQueue`.
    """

    def __init__(self, client: Redis, *, bull_prefix: str = "bull") -> None:
        """Inspect through `client`, which the caller closes; `bull_prefix` begins every key of BullMQ."""
        self._client = client
        self._bull_prefix = bull_prefix

    async def queues(self) -> list[str]:
        """Return the names of all queues that ever had a job or a worker, in order."""
        start = f"{self._bull_prefix}:"
        kinds = {"meta": "hash", "id": "string"}
        names: set[str] = set()
        for name, kind in kinds.items():
            keys = await keys_like(self._client, start, kind, suffix=f":{name}")
            names.update(key.removeprefix(start).removesuffix(f":{name}") for key in keys)
        return sorted(name for name in names if name and ":" not in name)

    async def state(self, queue: str) -> QueueState:
        """Return how many jobs a queue has in which state."""
        with translated_errors(self._client):
            async with self._client.pipeline(transaction=False) as pipe:
                for state in _STATES:
                    (pipe.llen if state in _LISTS else pipe.zcard)(self._key(queue, state))
                pipe.hexists(self._key(queue, "meta"), "paused")
                *counts, is_paused = await replies_of(pipe)
        count = dict(zip(_STATES, counts, strict=True))
        return QueueState(
            queue=queue,
            waiting=count["wait"] + count["paused"],
            active=count["active"],
            delayed=count["delayed"],
            prioritized=count["prioritized"],
            waiting_children=count["waiting-children"],
            completed=count["completed"],
            failed=count["failed"],
            is_paused=bool(is_paused),
        )

    async def known(self, queue: str, job_ids: Sequence[str]) -> set[str]:
        """Return which of these jobs the queue has, in any state."""
        with translated_errors(self._client):
            async with self._client.pipeline(transaction=False) as pipe:
                for job_id in job_ids:
                    pipe.exists(self._key(queue, job_id))
                replies = await replies_of(pipe)
        return {job_id for job_id, exists in zip(job_ids, replies, strict=True) if exists}

    async def jobs(self, queue: str, *, holding: bytes) -> AsyncIterator[JobState]:
        """Yield each job whose data contains `holding`, in any state, reading page by page."""
        seen: set[str] = set()
        for state in _STATES:
            start = 0
            while page := await self._page(queue, state, start):
                start += len(page)
                for job_id, fields in page:
                    if job_id not in seen and holding in (fields["data"] or b""):
                        seen.add(job_id)
                        yield _job(queue, job_id, state, fields)

    async def _page(self, queue: str, state: str, start: int) -> list[tuple[str, dict[str, bytes | None]]]:
        """Return id and fields of up to `PAGE` jobs, beginning with the one at `start`."""
        read_ids = self._client.lrange if state in _LISTS else self._client.zrange
        with translated_errors(self._client):
            raw_ids: Any = await read_ids(self._key(queue, state), start, start + PAGE - 1)
            job_ids = [job_id.decode() for job_id in raw_ids]
            async with self._client.pipeline(transaction=False) as pipe:
                for job_id in job_ids:
                    pipe.hmget(self._key(queue, job_id), _FIELDS)
                replies = await replies_of(pipe)
        fields = (dict(zip(_FIELDS, values, strict=True)) for values in replies)
        return list(zip(job_ids, fields, strict=True))

    def _key(self, queue: str, name: str) -> str:
        return queue_key(self._bull_prefix, queue, name)


def _job(queue: str, job_id: str, state: str, fields: Mapping[str, bytes | None]) -> JobState:
    return JobState(
        queue=queue,
        job_id=job_id,
        name=(fields["name"] or b"").decode(errors="replace"),
        state=state,
        data=fields["data"] or b"",
        added_ms=int(fields["timestamp"] or 0),
        started_ms=_ms(fields["processedOn"]),
        ended_ms=_ms(fields["finishedOn"]),
        attempts=int(fields["atm"] or 0),
    )


def _ms(value: bytes | None) -> int | None:
    return int(value) if value else None
