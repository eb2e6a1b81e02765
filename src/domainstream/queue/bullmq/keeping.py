"""Finds out how long queues keep their finished jobs, by the options of the newest one."""

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import msgspec
from msgspec import Struct
from redis.asyncio.client import Pipeline

from domainstream.queue.bullmq.scripts import queue_key
from domainstream.redis.asking import Ask, ask_each
from domainstream.redis.nodes import RedisNodes

_SORTED: Final = ("completed", "failed", "delayed")
_LISTS: Final = ("wait", "active")


class Keeping(Struct, frozen=True, kw_only=True):
    """How long finished jobs of one kind are kept."""

    age_s: int | None = None
    """For how many seconds; None for no limit."""

    count: int | None = None
    """How many of them; None for no limit."""


class QueueKeeping(Struct, frozen=True, kw_only=True):
    """How long a queue keeps its jobs, as one of its jobs says."""

    queue: str
    """BullMQ's name of the queue."""

    completed: Keeping | None
    """How long completed jobs are kept; None where the job does not say, so that its worker decides."""

    failed: Keeping | None
    """How long failed jobs are kept; None where the job does not say, so that its worker decides."""


async def read_keeping(nodes: RedisNodes, queues: Sequence[str], *, bull_prefix: str) -> list[QueueKeeping]:
    """Return how long these queues keep jobs, but for those without any job; `queues` are BullMQ's names."""
    prefixes = {queue: queue_key(bull_prefix, queue, "") for queue in queues}
    found = await ask_each(nodes, {prefix: _newest(prefix) for prefix in prefixes.values()}, missing=["WRONGTYPE"])
    jobs = {prefix: next((ids[0] for ids in replies if ids), None) for prefix, replies in found.items()}
    asks: dict[str, list[Ask]] = {
        prefix: [partial(_ask_options, key=prefix + job.decode())] for prefix, job in jobs.items() if job is not None
    }
    options = await ask_each(nodes, asks)
    return [
        _keeping(queue, options[prefix][0])
        for queue, prefix in prefixes.items()
        if prefix in options and options[prefix][0]
    ]


def _newest(prefix: str) -> list[Ask]:
    return [
        *(partial(_ask_list, key=prefix + state) for state in _LISTS),
        *(partial(_ask_sorted, key=prefix + state) for state in _SORTED),
    ]


def _ask_list(pipe: Pipeline, *, key: str) -> Any:
    return pipe.lrange(key, 0, 0)


def _ask_sorted(pipe: Pipeline, *, key: str) -> Any:
    return pipe.zrange(key, -1, -1)


def _ask_options(pipe: Pipeline, *, key: str) -> Any:
    return pipe.hmget(key, ["opts"])


def _keeping(queue: str, options: Sequence[bytes | None]) -> QueueKeeping:
    try:
        said: Any = msgspec.json.decode(options[0] or b"{}")
    except msgspec.DecodeError:
        said = {}
    said = said if isinstance(said, dict) else {}
    return QueueKeeping(
        queue=queue, completed=kept(said.get("removeOnComplete")), failed=kept(said.get("removeOnFail"))
    )


def kept(said: Any) -> Keeping | None:
    """Return what BullMQ's option means: true keeps none, false all, a number that many, or it has limits."""
    match said:
        case bool():
            return Keeping(count=0) if said else Keeping()
        case int():
            return Keeping(count=said if said >= 0 else None)
        case dict():
            return Keeping(age_s=_whole(said.get("age")), count=_whole(said.get("count")))
        case _:
            return None


def _whole(value: Any) -> int | None:
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0 else None
