"""Retries and removes jobs, for whoever is on call.

Everything is done by BullMQ's own scripts, many jobs per call: Node's `queue.retryJobs` and Bull Board do the same. The
data of a job is never changed: it is an event, and an event is a fact.
"""

from collections.abc import Sequence
from functools import cache
from typing import Final, Literal

from redis.asyncio import Redis

from domainstream.queue.bullmq.job_batch import with_parts
from domainstream.queue.bullmq.scripts import bullmq_module, cluster_name, own_script, queue_key
from domainstream.redis.nodes import RedisNodes
from domainstream.redis.scripts import Script
from domainstream.validation import plain_name

CHUNK: Final = 100
"""Jobs per call, which keep the server busy for about 2 ms."""

Action = Literal["retry", "promote", "remove_failed", "remove_delayed"]

REPAIR_KEYS: Final = (
    *("failed", "delayed", "wait", "paused", "meta", "active", "marker", "prioritized", "pc", "events", "repeat"),
)
"""The keys of a queue that the shared part of the scripts takes, `lua/repairs.lua`."""

_FILES: Final = {"reprocessJob": "reprocessJob-9.lua", "promote": "promote-9.lua", "removeJob": "removeJob-2.lua"}


class BullMQRepair:
    """Repairs the queues of one prefix. For one task. Raises the same errors as `JobQueue`."""

    def __init__(self, client: Redis | RedisNodes, *, bull_prefix: str = "bull") -> None:
        """Repair through `client`, which the caller closes; `bull_prefix` begins every key of BullMQ.

        Raises `MissingExtraError` without the package `bullmq`.
        """
        self._nodes = RedisNodes.of(client)
        self._bull_prefix = plain_name(bull_prefix)
        self._script = Script.of(_repair_script())

    async def retry(self, queue: str, job_ids: Sequence[str]) -> int:
        """Start failed jobs again, with all their attempts; return how many of them were failed."""
        return await self._repair("retry", queue, job_ids)

    async def promote(self, queue: str, job_ids: Sequence[str]) -> int:
        """Let delayed jobs start now, with the attempts they have left; return how many of them were delayed."""
        return await self._repair("promote", queue, job_ids)

    async def remove_failed(self, queue: str, job_ids: Sequence[str]) -> int:
        """Delete those of these jobs that are still failed; return how many."""
        return await self._repair("remove_failed", queue, job_ids)

    async def remove_delayed(self, queue: str, job_ids: Sequence[str]) -> int:
        """Delete those of these jobs that are still delayed, and that no job scheduler repeats; return how many."""
        return await self._repair("remove_delayed", queue, job_ids)

    async def _repair(self, action: Action, queue: str, job_ids: Sequence[str]) -> int:
        name = cluster_name(self._bull_prefix, queue) if self._nodes.is_cluster else queue
        prefix = queue_key(self._bull_prefix, name, "")
        own_keys = [prefix + key for key in REPAIR_KEYS]
        changed = 0
        for start in range(0, len(job_ids), CHUNK):
            chunk = job_ids[start : start + CHUNK]
            keys = [*own_keys, *(prefix + job_id for job_id in chunk)]
            changed += await self._nodes.call(self._script, keys, action, prefix, *chunk)
        return changed


@cache
def _repair_script() -> str:
    return repair_script(own_script("repair_jobs"))


def repair_script(text: str) -> str:
    """Return a script with BullMQ's own in it that retry, promote and remove a job."""
    load = bullmq_module("bullmq.redis_connection", what="Repairing jobs of BullMQ queues").loadScript
    return with_parts(text, {"repairs": own_script("repairs"), **{name: str(load(_FILES[name])) for name in _FILES}})
