"""BullMQ's own script for adding a job, and its arguments. Used by `bullmq_queue`; its camelCase stops here.

The script's text comes from the installed package, so jobs are what Node's BullMQ writes and reads. The package's
`Queue.addBulk` is not used: it writes the data anew, which changes numbers, and passes over refusals.
"""

import time
from datetime import timedelta
from hashlib import sha1
from typing import Any

import msgspec

from domainstream.queue.bullmq_package import bullmq_module
from domainstream.queue.job import Job
from domainstream.queue.job_settings import JobSettings

_KEYS = ("wait", "paused", "meta", "id", "completed", "delayed", "active", "events", "marker")
_pack = msgspec.msgpack.Encoder().encode


class AddJobScript:
    """`addStandardJob` of BullMQ.

    Attributes:
        text: The script.

        sha: Its SHA-1, by which the server knows it.

        key_count: How many of its arguments are keys.
    """

    def __init__(self, *, bull_prefix: str, settings: JobSettings) -> None:
        connection = bullmq_module("bullmq.redis_connection")
        self.text: str = connection.loadScript(connection.SCRIPT_DEFINITIONS["addStandardJob"])
        self.sha = sha1(self.text.encode(), usedforsecurity=False).hexdigest()
        self.key_count = len(_KEYS)
        self._prefix = bull_prefix
        self._options = _options(settings)
        self._keys: dict[str, list[str]] = {}

    def arguments(self, job: Job) -> list[Any]:
        """Return the keys and arguments that add `job`."""
        now = time.time_ns() // 1_000_000
        keys = self._keys_of(job.queue)
        # Key prefix, id, name, timestamp; no parent key, dependencies key, parent, repeat key, deduplication key.
        packed = _pack([f"{self._prefix}:{job.queue}:", job.id, job.name, now, None, None, None, None, None])
        return [*keys, packed, job.data, _pack({**self._options, "jobId": job.id}), now]

    def _keys_of(self, queue: str) -> list[str]:
        if queue not in self._keys:
            self._keys[queue] = [f"{self._prefix}:{queue}:{key}" for key in _KEYS]
        return self._keys[queue]


def _options(settings: JobSettings) -> dict[str, Any]:
    completed = {"age": _seconds(settings.keep_completed), "count": settings.keep_completed_count}
    return {
        "attempts": settings.attempts,
        "delay": 0,
        "backoff": {"type": "exponential", "delay": round(settings.backoff.total_seconds() * 1000)},
        "removeOnComplete": completed,
        "removeOnFail": {"age": _seconds(settings.keep_failed)},
    }


def _seconds(duration: timedelta) -> int:
    return max(1, round(duration.total_seconds()))
