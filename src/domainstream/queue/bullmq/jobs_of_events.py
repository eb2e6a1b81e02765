"""Finds the jobs of events by their ids, so that not every job has to be looked at.

A job's id is made of its event's id, and of the job's name if the queue gets several jobs of the event. Which names
these are is taken from jobs that the queue has: from the first and the last ones in each state.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from redis.asyncio.client import Pipeline

from domainstream.queue.bullmq.queue_states import LISTS, STATES
from domainstream.queue.bullmq.scripts import own_script, queue_key
from domainstream.queue.job import ID_PREFIX, job_id
from domainstream.redis.asking import Ask, ask_each
from domainstream.redis.nodes import RedisNodes

AT_EACH_END: Final = 50
"""How many jobs of each state are looked at for names, those that come first and those that come last."""

MOST_NAMES: Final = 20
"""How many names of a queue are tried, those that most of these jobs have."""

IDS_AT_A_TIME: Final = 2_000
"""How many jobs one script call looks for, which takes the server about a millisecond."""


async def sizes_of(nodes: RedisNodes, queues: Sequence[str], *, bull_prefix: str) -> dict[str, int]:
    """Return how many jobs each of these queues keeps; `queues` are BullMQ's names."""
    replies = await _ask_states(nodes, queues, bull_prefix, _ask_size)
    return {queue: sum(of_queue) for queue, of_queue in replies.items()}


async def job_ids_of(
    nodes: RedisNodes, queues: Sequence[str], event_ids: Sequence[str], *, bull_prefix: str
) -> dict[str, list[str]]:
    """Return the ids of the jobs that each of these queues has of these events; `queues` are BullMQ's names."""
    samples = await _ask_states(nodes, queues, bull_prefix, _ask_first, _ask_last)
    plain = [job_id(event_id) for event_id in event_ids]
    found: dict[str, list[str]] = {}
    for queue, sample in samples.items():
        endings = ["", *_endings(raw for ids in sample for raw in ids)]
        wanted = [known + ending for known in plain for ending in endings]
        found[queue] = await _existing(nodes, queue_key(bull_prefix, queue, ""), wanted)
    return {queue: ids for queue, ids in found.items() if ids}


async def _existing(nodes: RedisNodes, prefix: str, job_ids: list[str]) -> list[str]:
    script = own_script("find_jobs")
    parts = [job_ids[start : start + IDS_AT_A_TIME] for start in range(0, len(job_ids), IDS_AT_A_TIME)]

    def ask(part: Sequence[str]) -> Ask:
        return lambda pipe: pipe.eval(script, 1, prefix, *part)

    replies = await ask_each(nodes, {prefix: [ask(part) for part in parts]})
    return [part[position - 1] for part, reply in zip(parts, replies[prefix], strict=True) for position in reply]


def _endings(raw_ids: Iterator[bytes]) -> list[str]:
    """Return what may follow the event's id in the ids of jobs: everything from a dot on."""
    endings: Counter[str] = Counter()
    for raw in raw_ids:
        known = raw.decode(errors="replace")
        if known.startswith(ID_PREFIX):
            endings.update(known[at:] for at, character in enumerate(known) if character == ".")
    return [ending for ending, _ in endings.most_common(MOST_NAMES)]


async def _ask_states(
    nodes: RedisNodes, queues: Sequence[str], bull_prefix: str, *asks: Callable[[Pipeline, str, str], Any]
) -> dict[str, list[Any]]:
    """Return the replies about each state of each queue."""

    def ask_state(key: str, state: str, ask: Callable[[Pipeline, str, str], Any]) -> Ask:
        return lambda pipe: ask(pipe, key, state)

    prefixes = {queue: queue_key(bull_prefix, queue, "") for queue in queues}
    by_prefix = {
        prefix: [ask_state(prefix + state, state, ask) for state in STATES for ask in asks]
        for prefix in prefixes.values()
    }
    replies = await ask_each(nodes, by_prefix)
    return {queue: replies[prefix] for queue, prefix in prefixes.items()}


def _ask_size(pipe: Pipeline, key: str, state: str) -> Any:
    return pipe.llen(key) if state in LISTS else pipe.zcard(key)


def _ask_first(pipe: Pipeline, key: str, state: str) -> Any:
    return (pipe.lrange if state in LISTS else pipe.zrange)(key, 0, AT_EACH_END - 1)


def _ask_last(pipe: Pipeline, key: str, state: str) -> Any:
    return (pipe.lrange if state in LISTS else pipe.zrange)(key, -AT_EACH_END, -1)
