"""BullMQ's own scripts for adding jobs, and their arguments.

The scripts' texts come from the installed package, so jobs are what Node's BullMQ writes and reads. The package's
`Queue.addBulk` is not used: it encodes the data again, which changes numbers, and ignores rejections. BullMQ's
camelCase stops here.
"""

import time
from datetime import timedelta
from importlib import import_module
from importlib.resources import files
from typing import Any, Final

import msgspec

from domainstream.errors import ConfigurationError, MissingExtraError
from domainstream.queue.job import Job
from domainstream.queue.settings import JobSettings
from domainstream.redis.slot_map import has_hash_tag
from domainstream.validation import plain_name

KEYS_OF_QUEUE: Final = (
    *("wait", "paused", "meta", "id", "completed", "delayed", "active", "events", "marker", "prioritized", "pc"),
)

STANDARD, DELAYED, PRIORITIZED = "addStandardJob", "addDelayedJob", "addPrioritizedJob"

KEYS: Final = {
    STANDARD: ("wait", "paused", "meta", "id", "completed", "delayed", "active", "events", "marker"),
    DELAYED: ("marker", "meta", "id", "delayed", "completed", "events"),
    PRIORITIZED: ("marker", "meta", "id", "prioritized", "delayed", "completed", "active", "events", "pc"),
}
"""The keys of a queue that each script takes, in its order."""

STACKS_KEPT: Final = 5
"""How many stack traces of a job are kept, the newest ones: each fetch of the job carries them."""

_pack = msgspec.msgpack.Encoder().encode


def bullmq_module(name: str = "bullmq", *, what: str = "Delivering to BullMQ queues") -> Any:
    """Import a module of the package `bullmq`, which is an extra; raise `MissingExtraError` when it is not installed.

    `what` is what it is needed for, as the error's first words.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError:
        raise MissingExtraError(what, "bullmq") from None


def script_text(name: str) -> str:
    """Return a script of the installed package; raise `MissingExtraError` without it."""
    connection = bullmq_module("bullmq.redis_connection")
    return str(connection.loadScript(connection.SCRIPT_DEFINITIONS[name]))


def own_script(name: str) -> str:
    """Return a script of this folder, with the shared Lua included."""
    folder = files("domainstream.queue.bullmq").joinpath("lua")
    text = folder.joinpath(f"{name}.lua").read_text(encoding="utf-8")
    for shared in ("job_kinds", "add_whole"):  # the first includes the second
        text = text.replace(f"--[[{shared}]]", folder.joinpath(f"{shared}.lua").read_text(encoding="utf-8"))
    return text


def script_for(settings: JobSettings) -> str:
    """Return the name of the script that adds jobs with these settings, as BullMQ chooses it."""
    if settings.delay:
        return DELAYED
    return PRIORITIZED if settings.priority else STANDARD


def cluster_name(bull_prefix: str, queue: str) -> str:
    """Return the name under which BullMQ knows a queue on a Redis Cluster, where its keys must lie in one slot.

    That is `{queue}`, unless the name or `bull_prefix` has a hash tag already. Raises `ConfigurationError` where no tag
    would count.
    """
    for name in (plain_name(queue), f"{{{plain_name(queue)}}}"):
        if has_hash_tag(queue_key(bull_prefix, name, "")):
            return name
    problem = f"the first braces in {bull_prefix}:{queue} are empty, but what they hold says which node has a key"
    raise ConfigurationError("The queue cannot be on a Redis Cluster:", [problem])


def queue_key(bull_prefix: str, queue: str, name: str) -> str:
    """Return a key of a queue; the empty `name` gives what all of them begin with."""
    return f"{plain_name(bull_prefix)}:{plain_name(queue)}:{plain_name(name)}"


def packed_arguments(job: Job, bull_prefix: str, now: int) -> bytes:
    """Return the first argument of BullMQ's scripts, for a job that is added at `now`."""
    # No parent key, dependencies key, parent, repeat key, deduplication key.
    return _pack((queue_key(bull_prefix, job.queue, ""), job.id, job.name, now, None, None, None, None, None))


def packed_options(settings: JobSettings, **more: str) -> bytes:
    """Return the options of a job with these settings, and `more` options."""
    # `maxDelay` is ours: Node's workers ignore it. `false` keeps failed jobs also where a Node worker has a default.
    backoff = {
        "type": "exponential",
        "delay": _milliseconds(settings.backoff),
        "jitter": settings.jitter,
        "maxDelay": _milliseconds(settings.max_backoff),
    }
    options = {
        "attempts": settings.attempts,
        "delay": _milliseconds(settings.delay),
        **({"priority": settings.priority} if settings.priority else {}),
        "backoff": backoff,
        "stackTraceLimit": STACKS_KEPT,
        "removeOnComplete": {"age": _seconds(settings.keep_completed), "count": settings.keep_completed_count},
        "removeOnFail": False if settings.keep_failed is None else {"age": _seconds(settings.keep_failed)},
    }
    return _pack({**options, **more})


def now_ms() -> int:
    """Return the time in milliseconds since 1970, as BullMQ stamps jobs."""
    return time.time_ns() // 1_000_000


def _milliseconds(duration: timedelta) -> int:
    return round(duration.total_seconds() * 1000)


def _seconds(duration: timedelta) -> int:
    return max(1, round(duration.total_seconds()))
