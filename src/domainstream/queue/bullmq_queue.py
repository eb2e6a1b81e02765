"""Adds jobs to BullMQ queues on Redis. Implements `port.JobQueue`."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final, Self

from redis.asyncio import Redis
from redis.exceptions import NoScriptError

from domainstream.errors import ServerRefusedError
from domainstream.queue.bullmq_scripts import AddJobScript
from domainstream.queue.job import Job
from domainstream.queue.job_settings import JobSettings
from domainstream.stream.redis_connection import connect, our_errors, server_error

DEFAULT_SETTINGS: Final = JobSettings()
REPLY_TIMEOUT: Final = timedelta(seconds=5)


class BullMQQueue:
    """A `JobQueue` of BullMQ queues, which Python and Node.js workers read alike.

    All jobs of a call go in one round trip, each added by one atomic call of BullMQ's script; every reply is looked at,
    since a refusal of the script is a number and no error.
    """

    def __init__(self, client: Redis, *, bull_prefix: str = "bull", settings: JobSettings = DEFAULT_SETTINGS) -> None:
        """Add through `client`, which is then owned. Raises `MissingExtraError` without the package `bullmq`."""
        self._client = client
        self._script = AddJobScript(bull_prefix=bull_prefix, settings=settings)

    @classmethod
    def from_url(cls, url: str, *, bull_prefix: str = "bull", settings: JobSettings = DEFAULT_SETTINGS) -> Self:
        """Return a queue with connections of its own; `bull_prefix` begins every key of BullMQ."""
        return cls(connect(url, reply_timeout=REPLY_TIMEOUT), bull_prefix=bull_prefix, settings=settings)

    async def add(self, jobs: Sequence[Job]) -> None:
        """Add the jobs; see `port.JobQueue.add`."""
        if not jobs:
            return
        with our_errors(self._client):
            replies = await self._run(jobs)
            if any(isinstance(reply, NoScriptError) for reply in replies):
                await self._client.script_load(self._script.text)
                replies = await self._run(jobs)
        for job, reply in zip(jobs, replies, strict=True):
            _check(job, reply, self._client)

    async def close(self) -> None:
        """Close the connections; see `port.JobQueue.close`."""
        await self._client.aclose()

    async def _run(self, jobs: Sequence[Job]) -> list[Any]:
        async with self._client.pipeline(transaction=False) as pipe:
            for job in jobs:
                pipe.evalsha(self._script.sha, self._script.key_count, *self._script.arguments(job))
            # Errors come as replies: raised, they would quote the command and so the payload.
            return await pipe.execute(raise_on_error=False)


def _check(job: Job, reply: Any, client: Redis) -> None:
    if isinstance(reply, Exception):
        raise server_error(reply, client)
    if reply not in (job.id, job.id.encode()):
        code = reply if isinstance(reply, int) else type(reply).__name__
        raise ServerRefusedError(f"BullMQ did not add job {job.id} to the queue {job.queue}: it answered {code}")
