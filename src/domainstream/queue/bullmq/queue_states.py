"""Reads how many jobs queues have in which state, and how long the oldest ones wait, in few round trips."""

from collections.abc import Sequence
from typing import Any, Final

from msgspec import Struct
from redis.asyncio.client import Pipeline

from domainstream.queue.bullmq.scripts import own_script, queue_key
from domainstream.queue.bullmq.unhandled import whole_number
from domainstream.redis.asking import Ask, ask_each, clocks_of
from domainstream.redis.nodes import RedisNodes

LISTS: Final = ("wait", "paused", "active")
STATES: Final = ("delayed", "prioritized", "waiting-children", *LISTS, "completed", "failed")
"""The states of a job, as BullMQ calls them. In the order in which jobs pass through them: one that moves while we read
is seen twice rather than never.
"""

_UNDONE: Final = ("wait", "paused", "prioritized", "active", "delayed", "waiting-children")

AT_EACH_END: Final = 10
"""How many jobs of each state are looked at for the oldest one, those that come first and those that come last."""


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

    oldest_failed_ms: int | None
    """How long ago the first of them failed, in milliseconds; None without any."""

    oldest_ms: int | None
    """How long ago the oldest job was added that is not done, in milliseconds; None without any. Where a state has more
    than 20 jobs, some are not looked at, so that it may be longer ago.
    """

    oldest_waiting_ms: int | None
    """How long ago the oldest job was added, or began last, that may begin, in milliseconds; None without any. The same
    holds where there are more.
    """

    unhandled: int
    """Delayed jobs that wait for a build that handles them, among the 10,000 that are due next; 0 where nobody looked
    for them.
    """

    is_paused: bool
    """Whether the queue is paused, so that no job begins."""


async def read_states(nodes: RedisNodes, queues: Sequence[str], *, bull_prefix: str) -> list[QueueState]:
    """Return the state of each of these queues, without looking for unhandled jobs; `queues` are BullMQ's names."""
    script = own_script("oldest_job")
    prefixes = {queue: queue_key(bull_prefix, queue, "") for queue in queues}
    replies = await ask_each(nodes, {prefix: _asks(prefix, script) for prefix in prefixes.values()})
    clocks = await clocks_of(nodes, prefixes.values())
    return [_state(queue, replies[prefix], clocks[prefix]) for queue, prefix in prefixes.items()]


def _asks(prefix: str, script: str) -> list[Ask]:
    def ask_oldest(pipe: Pipeline) -> Any:
        return pipe.eval(script, len(_UNDONE), *(prefix + state for state in _UNDONE), prefix, str(AT_EACH_END))

    return [
        *(_ask_count(prefix, state) for state in STATES),
        lambda pipe: pipe.hexists(f"{prefix}meta", "paused"),
        lambda pipe: pipe.zrange(f"{prefix}failed", 0, 0, withscores=True),
        ask_oldest,
    ]


def _ask_count(prefix: str, state: str) -> Ask:
    return lambda pipe: (pipe.llen if state in LISTS else pipe.zcard)(prefix + state)


def _state(queue: str, replies: Sequence[Any], now_ms: int) -> QueueState:
    *counts, is_paused, first_failed, oldest = replies
    count = dict(zip(STATES, counts, strict=True))
    failed_ms = next((int(score) for _, score in first_failed), None)
    added_ms, waiting_since_ms = map(whole_number, oldest)
    return QueueState(
        queue=queue,
        waiting=count["wait"] + count["paused"],
        active=count["active"],
        delayed=count["delayed"],
        prioritized=count["prioritized"],
        waiting_children=count["waiting-children"],
        completed=count["completed"],
        failed=count["failed"],
        oldest_failed_ms=None if failed_ms is None else max(0, now_ms - failed_ms),
        oldest_ms=None if added_ms is None else max(0, now_ms - added_ms),
        oldest_waiting_ms=None if waiting_since_ms is None else max(0, now_ms - waiting_since_ms),
        unhandled=0,
        is_paused=bool(is_paused),
    )
