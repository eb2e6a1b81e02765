"""Inspects BullMQ queues without changing them."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace
from redis.asyncio import Redis

from domainstream.queue.bullmq.jobs_of_events import job_ids_of, sizes_of
from domainstream.queue.bullmq.queue_states import LISTS, STATES, QueueState, read_states
from domainstream.queue.bullmq.scripts import cluster_name, queue_key
from domainstream.queue.bullmq.unhandled import UnhandledJobs, unhandled_jobs, whole_number
from domainstream.redis.connection import accepted, replies_of
from domainstream.redis.errors import code_of
from domainstream.redis.nodes import RedisNodes, Work
from domainstream.text import JSON_ERRORS
from domainstream.validation import plain_name

T = TypeVar("T")

PAGE: Final = 500

FEW: Final = 50
"""How many jobs are looked up in one round trip, with the place of each in every state."""

_FIELDS: Final = (
    *("name", "data", "timestamp", "processedOn", "finishedOn", "atm", "ats", "opts", "failedReason", "stacktrace"),
)


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
    """How many attempts were made and counted."""

    starts: int
    """How often it began: each attempt, and each time it was delayed or handed back without one."""

    max_attempts: int
    """How many attempts it gets."""

    failed_reason: str
    """Why its last attempt failed, or why it waits; empty for a job that has not failed yet."""

    traces: tuple[str, ...]
    """The tracebacks that are kept, oldest first."""

    due_ms: int | None = None
    """When a delayed job may begin; only `BullMQInspection.job` and `chosen` find it out."""


class BullMQInspection:
    """The queues of one prefix.

    For one task. Raises the same errors as `JobQueue`. On a cluster, BullMQ's name of a queue is `{queue}`; every
    method takes both, and returns BullMQ's.
    """

    def __init__(self, client: Redis | RedisNodes, *, bull_prefix: str = "bull") -> None:
        """Inspect through `client`, which the caller closes; `bull_prefix` begins every key of BullMQ."""
        self._nodes = RedisNodes.of(client)
        self._bull_prefix = plain_name(bull_prefix)

    def name_of(self, queue: str) -> str:
        """Return BullMQ's name of a queue."""
        return cluster_name(self._bull_prefix, queue) if self._nodes.is_cluster else plain_name(queue)

    async def queues(self) -> list[str]:
        """Return the names of all queues that ever had a job or a worker, in order."""
        start = f"{self._bull_prefix}:"
        kinds = {"meta": "hash", "id": "string"}
        names: set[str] = set()
        for name, kind in kinds.items():
            keys = await self._nodes.keys_like(start, kind, suffix=f":{name}")
            names.update(key.removeprefix(start).removesuffix(f":{name}") for key in keys)
        return sorted(name for name in names if name and ":" not in name)

    async def state(self, queue: str) -> QueueState:
        """Return how many jobs a queue has in which state."""
        (state,) = await self.states([queue])
        unhandled = await self.unhandled(queue) if state.delayed else []
        return replace(state, unhandled=sum(jobs.jobs for jobs in unhandled))

    async def states(self, queues: Sequence[str]) -> list[QueueState]:
        """Return how many jobs these queues have in which state, in few round trips; unhandled ones are not counted."""
        names = [self.name_of(queue) for queue in queues]
        return await read_states(self._nodes, names, bull_prefix=self._bull_prefix)

    async def unhandled(self, queue: str) -> list[UnhandledJobs]:
        """Return the jobs that wait for a build that handles them."""
        return await unhandled_jobs(self._nodes, self.name_of(queue), bull_prefix=self._bull_prefix)

    async def sizes(self, queues: Sequence[str]) -> dict[str, int]:
        """Return how many jobs these queues keep, in any state, in few round trips."""
        return await sizes_of(self._nodes, [self.name_of(queue) for queue in queues], bull_prefix=self._bull_prefix)

    async def jobs_of_events(self, queues: Sequence[str], event_ids: Sequence[str]) -> dict[str, list[str]]:
        """Return the ids of the jobs that these queues have of these events, by queue.

        Not found are jobs with ids of other programs, and some with a name that few jobs of the queue have.
        """
        names = [self.name_of(queue) for queue in queues]
        return await job_ids_of(self._nodes, names, event_ids, bull_prefix=self._bull_prefix)

    async def known(self, queue: str, job_ids: Sequence[str]) -> dict[str, str]:
        """Return the state of each of these jobs that the queue has: `completed`, `failed`, or `open` for any other."""

        async def read(redis: Redis) -> list[Any]:
            async with redis.pipeline(transaction=False) as pipe:
                for job_id in job_ids:
                    pipe.exists(self._key(queue, job_id))
                for state in ("completed", "failed"):
                    pipe.zmscore(self._key(queue, state), list(job_ids))
                return await replies_of(pipe)

        *exists, completed, failed = await self._run(queue, read)
        scores = zip(job_ids, exists, completed, failed, strict=True)
        return {
            job_id: "failed" if has_failed is not None else "open" if is_done is None else "completed"
            for job_id, is_kept, is_done, has_failed in scores
            if is_kept
        }

    async def job(self, queue: str, job_id: str) -> JobState | None:
        """Return one job; None if the queue does not have it."""
        return next(iter(await self.chosen(queue, [job_id])), None)

    async def chosen(self, queue: str, job_ids: Sequence[str]) -> list[JobState]:
        """Return those of these jobs that the queue has, in few round trips."""
        found: list[JobState] = []
        for start in range(0, len(job_ids), FEW):
            some = job_ids[start : start + FEW]
            found += filter(None, await self._chosen(queue, some))
        return found

    async def _chosen(self, queue: str, job_ids: Sequence[str]) -> list[JobState | None]:
        async def read(redis: Redis) -> list[Any]:
            async with redis.pipeline(transaction=False) as pipe:
                for job_id in job_ids:
                    pipe.hmget(self._key(queue, job_id), _FIELDS)
                    for state in STATES:
                        key = self._key(queue, state)
                        pipe.lpos(key, job_id) if state in LISTS else pipe.zscore(key, job_id)
                return await pipe.execute(raise_on_error=False)

        replies = iter(await self._run(queue, read))
        # What has the name of a job may be another key of the queue, such as its list of failed jobs.
        return [
            self._found(queue, job_id, _fields(next(replies)), [accepted(next(replies)) for _ in STATES])
            for job_id in job_ids
        ]

    def _found(
        self, queue: str, job_id: str, fields: Mapping[str, bytes | None], places: Sequence[Any]
    ) -> JobState | None:
        if fields["timestamp"] is None:
            return None
        found = [(state, place) for state, place in zip(STATES, places, strict=True) if place is not None]
        state, place = found[-1] if found else ("unknown", 0)
        # BullMQ's score of a delayed job is its time, shifted by twelve bits to make room for a counter.
        due_ms = int(place) >> 12 if state == "delayed" else None
        return replace(_job(self.name_of(queue), job_id, state, fields), due_ms=due_ms)

    async def jobs(self, queue: str, *, states: Sequence[str] = STATES) -> AsyncIterator[JobState]:
        """Yield each job in one of these states, reading page by page.

        Jobs that change their state meanwhile may be missed.
        """
        seen: set[str] = set()
        for state in states:
            start = 0
            while page := await self._page(queue, state, start):
                start += len(page)
                for job_id, fields in page:
                    if job_id not in seen:
                        seen.add(job_id)
                        yield _job(self.name_of(queue), job_id, state, fields)

    async def newest(self, queue: str, state: str, *, start: int = 0, count: int = PAGE) -> list[JobState]:
        """Return up to `count` jobs in a state, the newest first, from `start` on; -1 is the oldest."""
        found = await self._page(queue, state, start, count, newest=True)
        return [_job(self.name_of(queue), job_id, state, fields) for job_id, fields in found]

    async def _page(
        self, queue: str, state: str, start: int, count: int = PAGE, *, newest: bool = False
    ) -> list[tuple[str, dict[str, bytes | None]]]:
        async def read(redis: Any) -> list[tuple[str, dict[str, bytes | None]]]:
            read_ids = redis.lrange if state in LISTS else redis.zrange
            turned = newest and state not in LISTS
            place = (-start - count, -1 - start) if turned else (start, start + count - 1)
            raw_ids = (await read_ids(self._key(queue, state), *place))[:: -1 if turned else 1]
            job_ids = [job_id.decode(errors="backslashreplace") for job_id in raw_ids]
            async with redis.pipeline(transaction=False) as pipe:
                for job_id in job_ids:
                    pipe.hmget(self._key(queue, job_id), _FIELDS)
                fields = map(_fields, await pipe.execute(raise_on_error=False))
                return list(zip(job_ids, fields, strict=True))

        return await self._run(queue, read)

    async def _run(self, queue: str, read: Work[T]) -> T:
        return await self._nodes.run(self._key(queue, ""), read)

    def _key(self, queue: str, name: str) -> str:
        return queue_key(self._bull_prefix, self.name_of(queue), name)


def _fields(reply: Any) -> dict[str, bytes | None]:
    """Return the fields of a job by name, each None where the key is not a job; raise any other error of the server."""
    if isinstance(reply, Exception) and code_of(reply) == "WRONGTYPE":
        return dict.fromkeys(_FIELDS)
    return dict(zip(_FIELDS, accepted(reply), strict=True))


def _job(queue: str, job_id: str, state: str, fields: Mapping[str, bytes | None]) -> JobState:
    return JobState(
        queue=plain_name(queue),
        job_id=job_id,
        name=(fields["name"] or b"").decode(errors="replace"),
        state=state,
        data=fields["data"] or b"",
        added_ms=whole_number(fields["timestamp"]) or 0,
        started_ms=whole_number(fields["processedOn"]),
        ended_ms=whole_number(fields["finishedOn"]),
        attempts=whole_number(fields["atm"]) or 0,
        starts=whole_number(fields["ats"]) or 0,
        max_attempts=_max_attempts(fields["opts"] or b"{}"),
        failed_reason=(fields["failedReason"] or b"").decode(errors="replace"),
        traces=_traces(fields["stacktrace"] or b"[]"),
    )


def _max_attempts(options: bytes) -> int:
    # Any program may have added the job, so an option may be anything.
    try:
        attempts = msgspec.json.decode(options).get("attempts")
    except (*JSON_ERRORS, AttributeError):
        return 1
    return max(1, attempts) if isinstance(attempts, int) else 1


def _traces(stacktrace: bytes) -> tuple[str, ...]:
    try:
        return msgspec.json.decode(stacktrace, type=tuple[str, ...])
    except JSON_ERRORS:
        return ()
