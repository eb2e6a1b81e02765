"""Adds jobs to BullMQ queues on Redis. Implements `port.JobQueue`."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any, Self

from msgspec.structs import replace
from redis.asyncio import Redis
from redis.exceptions import NoScriptError

from domainstream.errors import ServerRefusedError
from domainstream.queue.bullmq.scripts import (
    KEYS,
    cluster_name,
    now_ms,
    own_script,
    packed_arguments,
    packed_options,
    queue_key,
    script_for,
    script_text,
)
from domainstream.queue.job import Job
from domainstream.redis.cluster_link import ClusterLink
from domainstream.redis.connection import connect
from domainstream.redis.errors import place_of, server_error, translated_errors
from domainstream.redis.link import Reply
from domainstream.redis.nodes import ClusterNodes, RedisNodes
from domainstream.redis.scripts import Script
from domainstream.redis.slot_map import SlotMap
from domainstream.redis.topology import RedisTopology
from domainstream.validation import plain_name

_Call = tuple[Script, tuple[Any, ...]]
"""A script, and what follows it: the count of keys, the keys, and the arguments."""


class BullMQQueue:
    """A `JobQueue` of BullMQ queues, which Python and Node.js workers read alike.

    All jobs of a call are sent in one round trip, each added by one atomic call of BullMQ's script; on a cluster in one
    to each node, for each kind of job. Every reply is checked, because the script rejects a job with a negative number,
    not with an error.
    """

    def __init__(self, client: Redis | ClusterLink, *, bull_prefix: str = "bull") -> None:
        """Add through `client`, which the caller closes. Raises `MissingExtraError` without the package `bullmq`."""
        self._client = client
        self._turn = asyncio.Lock()  # a link makes one call at a time
        self._bull_prefix = plain_name(bull_prefix)
        self._scripts = {
            name: Script.of(own_script("add_job").replace("--[[script]]", script_text(name))) for name in KEYS
        }
        self._owned = AsyncExitStack()

    @classmethod
    def from_url(cls, url: str, *, bull_prefix: str = "bull") -> Self:
        """Return a queue that owns its connection; `bull_prefix` begins every key of BullMQ.

        On a cluster, BullMQ's name of the queue `valuation` is `{valuation}`, unless `bull_prefix` has a hash tag.
        Raises `ConfigurationError` for an invalid URL.
        """
        topology = RedisTopology.of(url)
        client = ClusterLink(SlotMap(topology)) if topology.is_cluster else connect(topology)
        queue = cls(client, bull_prefix=bull_prefix)
        queue._owned.push_async_callback(client.close if isinstance(client, ClusterLink) else client.aclose)
        return queue

    @classmethod
    def of(cls, nodes: RedisNodes, *, bull_prefix: str = "bull") -> Self:
        """Return a queue that adds where `nodes` are; close it before them."""
        if not isinstance(nodes, ClusterNodes):
            return cls(nodes.client, bull_prefix=bull_prefix)
        link = ClusterLink(nodes.slots)
        queue = cls(link, bull_prefix=bull_prefix)
        queue._owned.push_async_callback(link.close)
        return queue

    async def add(self, jobs: Sequence[Job]) -> None:
        """Add the jobs; see `port.JobQueue.add`."""
        if not jobs:
            return
        now = now_ms()
        calls = [self._call(job, now) for job in jobs]
        if isinstance(self._client, ClusterLink):
            place, replies = self._client.place, await self._run_on_cluster(self._client, calls)
        else:
            place, replies = place_of(self._client.connection_pool), await self._run(self._client, calls)
        for job, reply in zip(jobs, replies, strict=True):
            if isinstance(reply, Exception):
                raise server_error(reply, place)
            if reply not in (job.id, job.id.encode()):
                code = reply if isinstance(reply, int) else type(reply).__name__
                raise ServerRefusedError(
                    f"BullMQ did not add job {job.id} to the queue {job.queue}: it returned {code}"
                )

    async def close(self) -> None:
        """Close the connection if it owns one; see `port.JobQueue.close`."""
        await self._owned.aclose()

    def _call(self, job: Job, now: int) -> _Call:
        if isinstance(self._client, ClusterLink):
            job = replace(job, queue=cluster_name(self._bull_prefix, job.queue))
        name = script_for(job.settings)
        keys = [queue_key(self._bull_prefix, job.queue, key) for key in KEYS[name]]
        arguments = packed_arguments(job, self._bull_prefix, now)
        trace = {"tm": job.trace} if job.trace else {}
        options = packed_options(job.settings, jobId=job.id, **trace)
        return self._scripts[name], (len(keys), *keys, arguments, job.data, options, now)

    async def _run(self, client: Redis, calls: Sequence[_Call]) -> list[Reply]:
        with translated_errors(client):
            replies = await self._run_once(client, calls)
            if any(isinstance(reply, NoScriptError) for reply in replies):
                for script in self._scripts.values():
                    await client.script_load(script.text)
                replies = await self._run_once(client, calls)
        return replies

    async def _run_once(self, client: Redis, calls: Sequence[_Call]) -> list[Reply]:
        async with client.pipeline(transaction=False) as pipe:
            for script, arguments in calls:
                pipe.evalsha(script.sha, *arguments)
            # Errors are returned as replies: raised by redis-py, they would quote the command and so the payload.
            return await pipe.execute(raise_on_error=False)

    async def _run_on_cluster(self, link: ClusterLink, calls: Sequence[_Call]) -> list[Reply]:
        """Make the calls of one script at a time, all nodes at once: jobs of one kind keep their order in a queue."""
        replies: list[Reply] = [None] * len(calls)
        async with self._turn:
            for script in dict.fromkeys(script for script, _ in calls):
                indexes = [index for index, call in enumerate(calls) if call[0] is script]
                made = await link.eval_each(script, [calls[index][1] for index in indexes])
                for index, reply in zip(indexes, made, strict=True):
                    replies[index] = reply
        return replies
