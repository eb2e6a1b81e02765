"""Failed jobs by their cause. Of each queue the newest are read, however many there are, and the pages say so."""

from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Final

from msgspec import Struct

from domainstream.queue.bullmq.inspection import PAGE
from domainstream.tools.dashboard.cached import Cached
from domainstream.tools.dashboard.facts import Facts
from domainstream.tools.failures import Causes, JobFailures, JobRecord, job_record

SECONDS: Final = 5.0
"""For how long a sample is kept."""

PARTS: Final = 24
"""How many bars show when jobs failed."""


class FailureGroup(Struct, frozen=True, kw_only=True):
    """The jobs that failed for the same reason."""

    id: str
    """Names the group in addresses."""

    cause: JobFailures
    """What they have in common."""

    jobs: list[JobRecord]
    """The jobs, the newest first, without data and traces."""

    def trend(self, begin_ms: int, end_ms: int) -> list[int]:
        """Return how many of the jobs failed in each of `PARTS` parts of a time, the first part first."""
        return trend_of((job.last_ms for job in self.jobs), begin_ms, end_ms)


class FailureSample(Struct, frozen=True, kw_only=True):
    """The newest failed jobs of a queue."""

    queue: str
    """The queue's name."""

    read: int
    """How many were read."""

    failed: int
    """How many there are."""

    groups: list[FailureGroup]
    """Those that were read, by their cause, the largest group first."""

    @property
    def is_complete(self) -> bool:
        """Whether all of them were read."""
        return self.read >= self.failed

    def group(self, group_id: str) -> FailureGroup | None:
        """Return a group; None if no job that was read belongs to it."""
        return next((group for group in self.groups if group.id == group_id), None)


class FailureSamples:
    """The samples of all queues, each shared by all viewers for a few seconds."""

    def __init__(self, facts: Facts) -> None:
        """Read through `facts`."""
        self._facts = facts
        self._samples: dict[str, Cached[FailureSample]] = {}

    async def all(self) -> list[FailureSample]:
        """Return the samples of the queues that have failed jobs."""
        return [await self.of(queue.state.queue) for queue in await self._facts.queues.get() if queue.state.failed]

    async def of(self, queue: str) -> FailureSample:
        """Return the sample of a queue."""
        if queue not in self._samples:
            self._samples[queue] = Cached(lambda: self._read(queue), seconds=SECONDS)
        return await self._samples[queue].get()

    def forget(self, queue: str) -> None:
        """Read a queue anew next time: it has been changed."""
        self._samples.pop(queue, None)

    async def _read(self, queue: str) -> FailureSample:
        causes, jobs, read = Causes(), dict[str, list[JobRecord]](), 0
        limit = self._facts.settings.sample
        while read < limit:
            page = await self._facts.newest_jobs(queue, "failed", start=read, count=min(PAGE, limit - read))
            for job in page:
                causes.add(job)
                record = job_record(job)
                jobs.setdefault(_id_of_job(record), []).append(record)
            read += len(page)
            if len(page) < PAGE:
                break
        (state,) = await self._facts.jobs.states([queue])
        failed = state.failed
        return FailureSample(queue=queue, read=read, failed=max(read, failed), groups=_groups(causes, jobs))


def trend_of(times_ms: Iterable[int], begin_ms: int, end_ms: int) -> list[int]:
    """Return how many of these moments lie in each of `PARTS` parts of a time; those outside count to the next part."""
    counts = [0] * PARTS
    for time_ms in times_ms:
        place = (time_ms - begin_ms) * PARTS // max(1, end_ms - begin_ms)
        counts[min(max(0, place), PARTS - 1)] += 1
    return counts


def group_id(*parts: str) -> str:
    """Return what names a group in addresses: its cause is too long for that, and may hold anything."""
    return sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()[:16]


def _id_of_job(job: JobRecord) -> str:
    return group_id(job.state, job.name, job.event_type, job.error, job.where)


def _groups(causes: Causes, jobs: Mapping[str, list[JobRecord]]) -> list[FailureGroup]:
    found = []
    for cause in causes.largest_first():
        key = group_id(cause.state, cause.job, cause.event_type, cause.error, cause.where)
        found.append(FailureGroup(id=key, cause=cause, jobs=jobs[key]))
    return found
