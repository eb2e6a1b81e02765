"""Shows what holds up jobs that are handled in order, and lets it go on, for whoever is on call.

`lua/gates.lua` says how such jobs wait for each other.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import cache, partial
from math import inf
from typing import Any, Final, Literal

from msgspec import Struct
from redis.asyncio import Redis

from domainstream.queue.bullmq.job_batch import gate_script
from domainstream.queue.bullmq.repair import REPAIR_KEYS, repair_script
from domainstream.queue.bullmq.scripts import cluster_name, now_ms, queue_key
from domainstream.queue.settings import OnFailure
from domainstream.redis.asking import Ask, ask_each
from domainstream.redis.connection import replies_of
from domainstream.redis.nodes import SCAN_COUNT, RedisNodes, literally
from domainstream.redis.scripts import Script
from domainstream.validation import plain_name

PAGE: Final = 100
"""How many failed jobs a call looks at, and how many keys are read at a time: the server is busy for about 2 ms."""

MOST: Final = 50
"""How many jobs a call removes, at most, which takes about 5 ms."""

Action = Literal["retry", "skip", "drop", "forget"]


class HeldKey(Struct, frozen=True, kw_only=True):
    """A key whose first job has failed permanently, so that those behind it wait."""

    queue: str
    """The queue's name."""

    key: str
    """The key by which the jobs are ordered."""

    job_id: str
    """The failed job."""

    name: str
    """Its name."""

    reason: str
    """Why it failed: the first 1,000 bytes."""

    since_ms: int
    """When it failed, in milliseconds since 1970."""

    waiting: int
    """How many jobs wait behind it."""


class KeyState(Struct, frozen=True, kw_only=True):
    """The jobs of one key."""

    jobs: int
    """How many there are that are not done; those that were removed count until the key is looked at."""

    held: HeldKey | None
    """What holds the key; None if nothing does."""


class OrderState(Struct, frozen=True, kw_only=True):
    """How the order of a queue is kept."""

    on_failure: OnFailure
    """What becomes of the jobs behind one that has failed permanently."""

    keys: int
    """How many keys have jobs, or had some a moment ago."""

    waiting: int
    """How many jobs wait for the one before."""

    mailbox: int
    """How many of these a subscriber has to let go, because the one before was removed or skipped."""

    tended_ms: int | None
    """When a subscriber last looked after that, in milliseconds since 1970, by its own clock; None if none ever did."""


class JobPlace(Struct, frozen=True, kw_only=True):
    """The place of a job among those of its key."""

    key: str
    """The key."""

    waits_for: str
    """The id of the job before; empty if it waits for none."""

    waits_for_it: str
    """The id of the job behind, if that still waits; empty without one."""


class BullMQOrder:
    """The order of the queues of one prefix. For one task. Raises the same errors as `JobQueue`.

    What it changes is changed by one script call for a key, or several if the key has many jobs, each of which leaves
    everything in order: workers and subscribers may run meanwhile.
    """

    def __init__(self, client: Redis | RedisNodes, *, bull_prefix: str = "bull") -> None:
        """Work through `client`, which the caller closes; `bull_prefix` begins every key of BullMQ.

        Raises `MissingExtraError` without the package `bullmq`.
        """
        self._nodes = RedisNodes.of(client)
        self._bull_prefix = plain_name(bull_prefix)
        self._look, self._act = (Script.of(text) for text in order_scripts())

    async def state(self, queue: str) -> OrderState | None:
        """Return how the order of a queue is kept; None if its jobs are not handled in order."""
        return (await self.states([queue])).get(self._name_of(queue))

    async def states(self, queues: Sequence[str]) -> dict[str, OrderState]:
        """Return how the order of these queues is kept, by BullMQ's names; none where no order is kept."""
        names = {self._name_of(queue): self._key(queue, "") for queue in queues}
        replies = await ask_each(self._nodes, {prefix: _asks(prefix) for prefix in names.values()})
        found = {name: _order_state(*replies[prefix]) for name, prefix in names.items()}
        return {name: state for name, state in found.items() if state is not None}

    async def held(self, queue: str, *, most: float = inf) -> AsyncIterator[HeldKey]:
        """Yield the keys that a failed job holds, the last that failed first, reading page by page.

        At most about the last `most` failed jobs are looked at. A key that becomes held meanwhile may be missed.
        """
        left: int | str = ""
        last: tuple[float, str] = (inf, "")
        looked_at = 0
        while left != 0 and looked_at < most:
            looked_at += PAGE
            left, found = await self._ask(queue, "page", PAGE, left)
            for key in [self._held_key(queue, row) for row in found]:
                # What is removed meanwhile shifts the others into the next page.
                place = (float(key.since_ms), key.job_id)
                if place < last:
                    last = place
                    yield key

    async def key(self, queue: str, key: str) -> KeyState:
        """Return what there is of a key."""
        jobs, found = await self._ask(queue, "key", key)
        return KeyState(jobs=jobs, held=self._held_key(queue, found[0]) if found else None)

    async def place_of(self, queue: str, job_id: str) -> JobPlace | None:
        """Return the place of a job among those of its key; None if it is not handled in order."""

        async def read(redis: Redis) -> list[Any]:
            async with redis.pipeline(transaction=False) as pipe:
                pipe.hmget(self._key(queue, job_id), "dskey", "dsnext")
                pipe.smembers(self._key(queue, f"order:{job_id}:dependencies"))
                return await replies_of(pipe)

        (key, behind), before = await self._nodes.run(self._key(queue, ""), read)
        if key is None:
            return None
        if behind is not None:
            gate = self._key(queue, f"order:{_text(behind)}:dependencies")
            waits = await self._nodes.run(gate, lambda redis: redis.sismember(gate, self._key(queue, job_id)))
            behind = behind if waits else None
        return JobPlace(
            key=_text(key),
            waits_for=next((_text(one).removeprefix(self._key(queue, "")) for one in before), ""),
            waits_for_it="" if behind is None else _text(behind),
        )

    async def retry(self, queue: str, keys: Sequence[str | bytes]) -> int:
        """Start the jobs again that hold these keys, so that the rest follows in order; return how many those were."""
        return await self._change("retry", queue, keys)

    async def skip(self, queue: str, keys: Sequence[str | bytes]) -> int:
        """Let the jobs pass that wait behind the ones that hold these keys; return how many keys were held.

        The failed jobs stay failed. They can be retried later, out of order.
        """
        return await self._change("skip", queue, keys)

    async def drop(self, queue: str, keys: Sequence[str | bytes]) -> int:
        """Remove all jobs of these keys but for those that workers have and that are completed; return how many.

        Jobs that wait for others that their own handlers have added stay as well. Jobs that are added meanwhile may go.
        """
        return await self._change("drop", queue, keys)

    async def drop_all(self, queue: str) -> int:
        """Remove the jobs of all keys, as `drop` does, and what is left of keys that are gone; return how many jobs."""
        index, order = self._key(queue, "order:keys"), self._key(queue, "order:")
        removed = 0
        async for members in self._pages(index, lambda redis, cursor: redis.zscan(index, cursor, count=PAGE)):
            removed += await self.drop(queue, [key for key, _ in members])
        pattern = f"{literally(order)}*"
        async for found in self._pages(order, lambda redis, cursor: redis.scan(cursor, pattern, SCAN_COUNT)):
            names = [name.removeprefix(order.encode()) for name in found]
            lists = [name.removeprefix(b"keys:") for name in names if name.startswith(b"keys:")]
            removed += await self.drop(queue, lists)
            removed += await self._change("forget", queue, [name for name in names if not name.startswith(b"keys:")])
        return removed

    async def _pages(self, key: str, scan: Callable[..., Awaitable[Any]]) -> AsyncIterator[Sequence[Any]]:
        """Yield what a scan finds at the node that has a key."""
        cursor: int | None = None
        while cursor != 0:
            cursor, found = await self._nodes.run(key, partial(scan, cursor=cursor or 0))
            yield found

    async def _ask(self, queue: str, *words: str | int) -> Any:
        prefix = self._key(queue, "")
        return await self._nodes.call(self._look, [f"{prefix}failed"], prefix, *words)

    async def _change(self, action: Action, queue: str, keys: Sequence[str | bytes]) -> int:
        prefix = self._key(queue, "")
        own_keys = [prefix + name for name in REPAIR_KEYS]
        changed = start = 0
        while start < len(keys):
            some = keys[start : start + PAGE]
            jobs, done = await self._nodes.call(self._act, own_keys, action, prefix, now_ms(), MOST, *some)
            changed += jobs
            start += done
        return changed

    def _held_key(self, queue: str, row: Sequence[bytes | int]) -> HeldKey:
        since, job_id, key, name, reason, waiting = row
        return HeldKey(
            queue=self._name_of(queue),
            key=_text(key),
            job_id=_text(job_id),
            name=_text(name),
            reason=_text(reason),
            since_ms=int(since),
            waiting=int(waiting),
        )

    def _name_of(self, queue: str) -> str:
        return cluster_name(self._bull_prefix, queue) if self._nodes.is_cluster else plain_name(queue)

    def _key(self, queue: str, name: str) -> str:
        return f"{queue_key(self._bull_prefix, self._name_of(queue), '')}{name}"


def _asks(prefix: str) -> list[Ask]:
    return [
        lambda pipe: pipe.get(f"{prefix}order:rule"),
        lambda pipe: pipe.get(f"{prefix}order:tended"),
        lambda pipe: pipe.zcard(f"{prefix}order:keys"),
        lambda pipe: pipe.zcard(f"{prefix}waiting-children"),
        lambda pipe: pipe.llen(f"{prefix}order:wait"),
    ]


def _order_state(rule: bytes | None, tended: bytes | None, keys: int, waiting: int, mailbox: int) -> OrderState | None:
    if rule is None and not keys:
        return None
    return OrderState(
        on_failure="skip" if rule == b"skip" else "hold",
        keys=keys,
        waiting=waiting,
        mailbox=mailbox,
        tended_ms=None if tended is None else int(tended),
    )


@cache
def order_scripts() -> tuple[str, str]:
    """Return the script that looks, and the one that changes something."""
    return gate_script("held_keys"), repair_script(gate_script("act_on_keys"))


def _text(value: Any) -> str:
    return str(value.decode(errors="backslashreplace"))
