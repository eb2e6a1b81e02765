"""A queue whose jobs are handled in order, and a worker of BullMQ that does what a test says, step by step."""

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from itertools import count
from typing import Any, Final, Self

from bullmq import Worker
from bullmq.job import Job as BullMQJob
from msgspec.structs import replace
from support.hand_over import CHANNEL, HandOver, Instance, accepted
from support.ordered_queue import QUEUE, OrderedQueue

from domainstream.queue import Job, JobSettings, RoutedEntry
from domainstream.queue.bullmq.add_calls import add_calls, add_script, note_reached
from domainstream.queue.port import ChannelEpoch
from domainstream.queue.settings import OnFailure
from domainstream.stream import Delivery

SETTINGS: Final = JobSettings(attempts=1, keep_completed_count=1_000_000)
PATIENT: Final = JobSettings(attempts=9, backoff=timedelta(hours=1), jitter=0, keep_completed_count=1_000_000)
"""Settings of jobs that may fail; they are then delayed."""
TOKEN: Final = "the worker's token"
STATES: Final = ("wait", "prioritized", "delayed", "active", "waiting-children", "completed", "failed")

KEPT: Final = {"order:rule", "order:failed", "order:tended", "order:logged"}
"""The keys of ours that a queue has for as long as its jobs are handled in order."""


class SteppedQueue(OrderedQueue):
    """Each call is one step. A job is named by its key and a number, `a1`, and its id is `event-a1`."""

    def __init__(self, scene: HandOver, on_failure: OnFailure = "hold") -> None:
        super().__init__(scene.url, scene.redis, scene.bull_prefix, on_failure=on_failure)
        self.settings = SETTINGS
        """Those of the jobs that are added from now on."""
        self._scene = scene
        self._taken: dict[str, Any] = {}
        self._numbers = count(1)
        self._owned = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._scene.add()
        self.owner: Instance = self._scene.instance("a", QUEUE)
        await self.owner.begin()
        self.adding = add_script(in_order=True)
        options: Any = {"connection": self.url, "prefix": self.bull_prefix, "autorun": False}

        # It is asked for each job, and handles none by itself. Not all of what it can do has types.
        no_handler: Any = None
        self.worker: Any = Worker(QUEUE, no_handler, options)
        self._owned.push_async_callback(self.worker.close, force=True)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._owned.aclose()

    def entry(self, name: str, *, key: str | None = None) -> RoutedEntry:
        """Return a new entry of the channel that becomes the job `name`."""
        delivery = Delivery(CHANNEL, f"{next(self._numbers)}-1", b"{}")
        order_key = name.rstrip("0123456789") if key is None else key
        return RoutedEntry(delivery, (Job(QUEUE, "job", f"event-{name}", b"{}", self.settings, order_key),))

    async def add(self, *names: str) -> None:
        """Add jobs in one call, or in a few if they are many."""
        await self.add_entries([self.entry(name) for name in names])

    async def add_at(self, places: Mapping[str, int]) -> None:
        """Add jobs in one call, with places among those of their keys: several channels are not in order."""
        entries = []
        for name, place in places.items():
            entry = self.entry(name)
            jobs = tuple(replace(job, order_place=f"{place:020}") for job in entry.jobs)
            entries.append(replace(entry, jobs=jobs))
        await self.add_entries(entries)

    async def add_entries(self, entries: Sequence[RoutedEntry], *, epoch: ChannelEpoch | None = None) -> None:
        """Add the jobs of entries, whose channel has an epoch."""
        epochs = {CHANNEL: epoch or self.owner.epoch}
        calls = add_calls(entries, epochs, bull_prefix=self.bull_prefix, on_failure=self.rules)
        for reply in await self.owner.queue_link.eval_each(self.adding, [call.arguments for call in calls]):
            accepted(reply)
        note_reached(entries, epochs)

    async def start(self) -> str | None:
        """Start the next job, and return its name; None if all have to wait."""
        job = await self.worker.moveToActive(TOKEN)
        if job is None:
            return None
        name = str(job.id).removeprefix("event-")
        self._taken[name] = job
        return name

    async def started(self) -> list[str]:
        """Start all jobs that need not wait, and return their names."""
        names = []
        while name := await self.start():
            names.append(name)
        return names

    async def complete(self, *names: str) -> None:
        """Complete jobs that were started."""
        for name in names:
            await self._taken.pop(name).moveToCompleted("null", TOKEN)

    async def fail(self, *names: str) -> None:
        """Let attempts of jobs that were started fail."""
        for name in names:
            job = self._taken.pop(name)
            job.queue = self.worker
            await job.moveToFailed("broken", TOKEN)

    async def work_off(self) -> list[str]:
        """Start and complete one job after the other, and return their names."""
        names = []
        while name := await self.start():
            names.append(name)
            await self.complete(name)
        return names

    async def remove(self, *names: str, force: bool = False) -> None:
        """Remove jobs as BullMQ's `job.remove()` does, which removes children, too; by `force` also those that run."""
        for name in names:
            if force:
                await self.redis.delete(self.key(f"event-{name}:lock"))
            assert await self.worker.scripts.remove(f"event-{name}", True) == 1

    async def retry(self, *names: str) -> None:
        """Retry failed jobs, as BullMQ's `job.retry()` does."""
        for name in names:
            job: Any = await BullMQJob.fromId(self.worker, f"event-{name}")
            await self.worker.scripts.reprocessJob(job, "failed")

    async def where(self) -> dict[str, list[str]]:
        """Return the jobs in each state that has any, by name."""
        found = {state: sorted(job.removeprefix("event-") for job in await self.jobs.ids(state)) for state in STATES}
        return {state: names for state, names in found.items() if names}

    async def where_without(self, state: str) -> dict[str, list[str]]:
        """Return the same without one state, whose key may be broken."""
        broken: Any = await self.redis.dump(self.key(state))
        await self.redis.delete(self.key(state))
        found = await self.where()
        await self.redis.restore(self.key(state), 0, broken)
        return found

    async def let_be_done(self, key: str, jobs: int) -> None:
        """Let the first jobs of a key be done and gone, but not by BullMQ, so that the one behind them hears of it."""
        ids: Any = await self.redis.lrange(self.key(f"order:keys:{key}"), 0, jobs - 1)
        await self.redis.delete(*(self.key(job.decode()) for job in ids))
        await self.redis.delete(self.key("wait"), self.key("order:wait"))
        await self.redis.zrem(self.key("waiting-children"), *ids)
        behind: Any = await self.redis.lindex(self.key(f"order:keys:{key}"), jobs)
        if behind is not None:
            await self.redis.rpush(self.key("order:wait"), behind)
            await self.redis.delete(self.key(f"order:{behind.decode()}:dependencies"))

    async def list_of(self, key: str) -> list[str]:
        """Return the jobs in the list of a key."""
        ids: Any = await self.redis.lrange(self.key(f"order:keys:{key}"), 0, -1)
        return [job.decode().removeprefix("event-") for job in ids]

    async def keys(self) -> set[str]:
        """Return the names of all keys of ours in the queue, but for its marks, its rule, and what was done when."""
        return await self.order_keys() - KEPT

    async def age(self) -> None:
        """Let all keys seem to be idle for so long that they are looked at again."""
        keys: Any = await self.redis.zrange(self.key("order:keys"), 0, -1)
        for key in keys:
            await self.redis.zadd(self.key("order:keys"), {key: 1})
