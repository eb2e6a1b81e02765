"""Adds jobs to BullMQ queues on Redis. Implements `port.JobQueue`."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any, Self

from redis.asyncio import Redis
from redis.exceptions import NoScriptError

from domainstream.errors import ServerRefusedError
from domainstream.queue.bullmq.scripts import (
    KEYS,
    now_ms,
    own_script,
    packed_arguments,
    packed_options,
    queue_key,
    script_for,
    script_text,
)
from domainstream.queue.job import Job
from domainstream.redis.connection import connect
from domainstream.redis.errors import place_of, server_error, translated_errors
from domainstream.redis.scripts import Script
from domainstream.validation import plain_name


class BullMQQueue:
    """A `JobQueue` of BullMQ queues, which Python and Node.js workers read alike.

    All jobs of a call are sent in one round trip, each added by one atomic call of BullMQ's script. Every reply is
    checked, because the script rejects a job with a negative number, not with an error.
    """

    def __init__(self, client: Redis, *, bull_prefix: str = "bull") -> None:
        """Add through `client`, which the caller closes. Raises `MissingExtraError` without the package `bullmq`."""
        self._client = client
        self._bull_prefix = plain_name(bull_prefix)
        self._scripts = {
            name: Script.of(own_script("add_job").replace("--[[script]]", script_text(name))) for name in KEYS
        }
        self._owned = AsyncExitStack()

    @classmethod
    def from_url(cls, url: str, *, bull_prefix: str = "bull") -> Self:
        """Return a queue that owns its connection; `bull_prefix` begins every key of BullMQ.

        Raises `ConfigurationError` for an invalid URL.
        """
        client = connect(url)
        queue = cls(client, bull_prefix=bull_prefix)
        queue._owned.push_async_callback(client.aclose)
        return queue

    async def add(self, jobs: Sequence[Job]) -> None:
        """Add the jobs; see `port.JobQueue.add`."""
        if not jobs:
            return
        with translated_errors(self._client):
            replies = await self._run(jobs)
            if any(isinstance(reply, NoScriptError) for reply in replies):
                for script in self._scripts.values():
                    await self._client.script_load(script.text)
                replies = await self._run(jobs)
        for job, reply in zip(jobs, replies, strict=True):
            if isinstance(reply, Exception):
                raise server_error(reply, place_of(self._client.connection_pool))
            if reply not in (job.id, job.id.encode()):
                code = reply if isinstance(reply, int) else type(reply).__name__
                raise ServerRefusedError(
                    f"BullMQ did not add job {job.id} to the queue {job.queue}: it returned {code}"
                )

    async def close(self) -> None:
        """Close the connection if it owns one; see `port.JobQueue.close`."""
        await self._owned.aclose()

    async def _run(self, jobs: Sequence[Job]) -> list[Any]:
        now = now_ms()
        async with self._client.pipeline(transaction=False) as pipe:
            for job in jobs:
                name = script_for(job.settings)
                keys = [queue_key(self._bull_prefix, job.queue, key) for key in KEYS[name]]
                arguments = packed_arguments(job, self._bull_prefix, now)
                options = packed_options(job.settings, jobId=job.id)
                pipe.evalsha(self._scripts[name].sha, len(keys), *keys, arguments, job.data, options, now)
            # Errors are returned as replies: raised by redis-py, they would quote the command and so the payload.
            return await pipe.execute(raise_on_error=False)
