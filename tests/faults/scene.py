"""The environment of a fault test: a private server, processes around it, and a ledger of what happened."""

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from faults.children.naive_bridge import BridgeOrder, run_bridge
from faults.children.process import LOG, Child
from faults.children.subscriber import QUEUES, SubscriberOrder, run_subscriber
from faults.children.worker import WorkerOrder, run_worker
from faults.ledger import HANDLED, PUBLISHED, UNCERTAIN, Ledger
from faults.publishing import Publisher
from redis.asyncio import Redis
from redis.exceptions import RedisError
from support.consuming import GROUP, Channel

from domainstream import RedisStreamPublisherClient, Retention
from domainstream.lifecycle import cancel_and_wait
from domainstream.queue import job_id
from domainstream.testing import EmbeddedServer
from domainstream.testing.cluster_lab import ClusterLab
from domainstream.testing.sentinel_lab import SentinelLab

FORGET: Final = """
local wait, forgotten = unpack(KEYS)
local jobs = redis.call('LRANGE', wait, 0, -1)
for at = #jobs, 1, -1 do
  redis.call('RPUSH', forgotten, jobs[at])
  redis.call('DEL', string.sub(wait, 1, -5) .. jobs[at])
end
redis.call('DEL', wait)
"""
"""Moves the jobs that wait to a list, the oldest first, and leaves nothing else of them."""

FORGET_EVERY: Final = 0.01


class Scene:
    """One server, or several that work together, and the processes that use them."""

    def __init__(
        self,
        server: EmbeddedServer | SentinelLab | ClusterLab,
        redis: Redis,
        ledger: Ledger,
        *,
        patience: float,
        prefix: str = "",
    ) -> None:
        self.server = server
        """The server, which only this test uses."""
        self.redis = redis
        """A client of the test's own; replies are bytes."""
        self.ledger = ledger
        """What happened."""
        self.patience = patience
        """Seconds until a wait fails; far more than a busy machine needs."""
        self.prefix = prefix
        """What the streams' keys begin with."""
        self._children: list[Child] = []

    async def publish(self, count: int, *, batch: int = 500, retention: Retention | None = None) -> None:
        """Publish `count` events, half of them to each channel."""
        async with RedisStreamPublisherClient.from_url(
            self.server.url, prefix=self.prefix, retention=retention
        ) as client:
            await Publisher(client, self.ledger).publish(count, batch)

    def subscriber(self, **order: Any) -> Child:
        """Start a subscriber; the server is this scene's unless the order names another."""
        usual = {"url": self.server.url, "ledger": self.ledger, "prefix": self.prefix}
        # What these servers keep is not for eviction; no need to ask each of them.
        usual["accept_eviction"] = isinstance(self.server, ClusterLab)
        return self._start(run_subscriber, SubscriberOrder(**{**usual, **order}))

    def worker(self, **order: Any) -> Child:
        """Start workers of both queues."""
        return self._start(run_worker, WorkerOrder(**{"url": self.server.url, "ledger": self.ledger, **order}))

    def child(self, work: Callable[[Any], None], order: Any) -> Child:
        """Start another program."""
        return self._start(work, order)

    def bridge(self, **order: Any) -> Child:
        """Start a naive bridge, as it is often written."""
        return self._start(run_bridge, BridgeOrder(**{"url": self.server.url, **order}))

    async def until(self, condition: Callable[[], Any]) -> None:
        """Wait until `condition`, a function or coroutine function, is true; fail when a child fails meanwhile."""
        async with asyncio.timeout(self.patience):
            while True:
                began = time.monotonic()
                try:
                    if await _value_of(condition):
                        return
                except RedisError:  # a server is away, or is not where the client looks for it
                    await self.redis.aclose()
                assert not any(child.failed for child in self._children), self.log()
                # An expensive condition must not take the processor from the processes that it waits for.
                await asyncio.sleep(0.002 + 2 * (time.monotonic() - began))

    @asynccontextmanager
    async def forgetting(self) -> AsyncIterator[None]:
        """Let queues forget every job as soon as it waits, so that ids do not reject repeats; jobs count as waiting."""

        async def forget() -> None:
            while True:
                for queue in QUEUES:
                    with suppress(RedisError):  # a server that is away
                        reply: Any = self.redis.eval(FORGET, 2, self.key(queue, "wait"), self.key(queue, "forgotten"))
                        await reply
                await asyncio.sleep(FORGET_EVERY)

        task = asyncio.create_task(forget())
        try:
            yield
        finally:
            await cancel_and_wait(task)  # once is not enough: redis-py may swallow it

    def key(self, queue: str, name: str) -> str:
        """Return a key of a queue."""
        return f"bull:{{{queue}}}:{name}" if isinstance(self.server, ClusterLab) else f"bull:{queue}:{name}"

    def stream(self, channel: str) -> str:
        """Return the key of a channel's stream."""
        return f"{self.prefix}{channel}"

    async def waiting(self) -> int:
        """Return how many jobs wait, all queues together."""
        keys = [self.key(queue, name) for queue in QUEUES for name in ("forgotten", "wait")]
        lengths: Any = [await self.redis.llen(key) for key in keys]
        return sum(lengths)

    async def pending(self, channels: Iterable[str] = Channel) -> int:
        """Return how many entries are delivered but not acknowledged, the channels together."""
        pending = 0
        for channel in channels:
            summary: Any = await self.redis.xpending(self.stream(channel), GROUP)
            pending += summary["pending"]
        return pending

    async def until_waiting(self, jobs: float) -> None:
        """Wait until at least `jobs` jobs wait."""

        async def enough() -> bool:
            return await self.waiting() >= jobs

        await self.until(enough)

    async def until_pending(self, entries: int, channels: Iterable[str] = Channel) -> None:
        """Wait until exactly `entries` entries are pending."""

        async def are_pending() -> bool:
            return await self.pending(channels) == entries

        await self.until(are_pending)

    async def until_read(self) -> None:
        """Wait until the group has read the streams to their ends, and no entry is pending."""

        async def all_is() -> bool:
            groups: Any = [await self.redis.xinfo_groups(self.stream(channel)) for channel in Channel]
            return all(group["lag"] == 0 and group["pending"] == 0 for (group,) in groups)

        await self.until(all_is)

    async def forwarded(self, jobs: int, channels: Iterable[str] = Channel) -> None:
        """Wait until at least `jobs` jobs wait, and no entry is pending."""

        async def all_are() -> bool:
            return await self.waiting() >= jobs and await self.pending(channels) == 0

        await self.until(all_are)

    async def handled(self, jobs: int) -> None:
        """Wait until handlers have returned `jobs` times."""
        await self.noted(HANDLED, jobs)

    async def jobs_of(self, queue: str) -> list[str]:
        """Return the ids of the jobs that wait in a queue, oldest first; before them, those that it has forgotten."""
        forgotten: Any = await self.redis.lrange(self.key(queue, "forgotten"), 0, -1)
        waiting: Any = await self.redis.lrange(self.key(queue, "wait"), 0, -1)
        return [job.decode() for job in [*forgotten, *reversed(waiting)]]

    async def completed(self, jobs: int) -> None:
        """Wait until `jobs` jobs are completed."""
        await self._in_state("completed", jobs)

    async def failed(self, jobs: int) -> None:
        """Wait until `jobs` jobs have failed permanently."""
        await self._in_state("failed", jobs)

    def crash_server(self) -> None:
        """Kill the server. `server.start()` starts it again on the same port."""
        assert isinstance(self.server, EmbeddedServer)
        assert self.server.pid is not None
        os.kill(self.server.pid, signal.SIGKILL)
        self.server.stop()

    async def answers(self) -> bool:
        """Return whether the server answers and has loaded its data."""
        try:
            await self.redis.ping()
        except RedisError:
            return False
        return True

    async def logged(self, text: str, times: int = 1) -> None:
        """Wait until the children have logged `text` at least `times` times."""
        await self.until(lambda: self.times_logged(text) >= times)

    def times_logged(self, text: str) -> int:
        """Count the lines of the children's log that contain `text`."""
        return sum(text in line for line in self.ledger.read(LOG))

    async def ended(self, child: Child) -> None:
        """Wait until a child has ended."""
        await self.until(lambda: child.ended)

    async def noted(self, kind: str, lines: float) -> None:
        """Wait until the ledger has at least `lines` lines of a kind."""
        await self.until(lambda: self.ledger.count(kind) >= lines)

    def log(self) -> str:
        """Return the end of what the children logged."""
        return "\n".join(self.ledger.read(LOG)[-40:])

    def close(self) -> None:
        """End all processes."""
        for child in self._children:
            child.kill()

    async def _in_state(self, state: str, jobs: int) -> None:
        async def all_are() -> bool:
            return sum([await self.redis.zcard(self.key(queue, state)) for queue in QUEUES]) >= jobs

        await self.until(all_are)

    def _start(self, work: Callable[[Any], None], order: Any) -> Child:
        child = Child(work, order, self.ledger.folder)
        self._children.append(child)
        return child


def channel_of_jobs(ledger: Ledger) -> dict[str, str]:
    """Return the channel of each job that an acknowledged event should become, in the order of publishing."""
    published = [line.split() for line in ledger.read(PUBLISHED)]
    channel_of = {job_id(event_id): channel for channel, event_id in published}
    assert len(channel_of) == len(published)
    return channel_of


async def assert_once(scene: Scene) -> dict[str, str]:
    """Each queue has each acknowledged event once, and besides only uncertain ones; return the channel of each job."""
    channel_of = channel_of_jobs(scene.ledger)
    uncertain = {job_id(line.split()[0]) for line in scene.ledger.read(UNCERTAIN)}
    for queue in QUEUES:
        jobs = await scene.jobs_of(queue)
        counts = Counter(jobs)
        lost, others = channel_of.keys() - counts.keys(), counts.keys() - channel_of.keys() - uncertain
        twice = [job for job, count in counts.items() if count > 1]
        problem = f"{queue}: of {len(channel_of)} events {len(lost)} lost, {len(twice)} twice, {len(others)} others"
        assert [lost, twice, others] == [set(), [], set()], f"{problem}\n{scene.log()}"
    return channel_of


async def assert_once_and_in_order(scene: Scene) -> None:
    """Each queue has each acknowledged event once, each channel's in its order, and besides only uncertain ones."""
    channel_of = await assert_once(scene)
    for queue in QUEUES:
        jobs = await scene.jobs_of(queue)
        for channel in Channel:
            expected = [job for job, its_channel in channel_of.items() if its_channel == channel]
            assert [job for job in jobs if channel_of.get(job) == channel] == expected, (
                f"{queue}: {channel} out of order"
            )


def assert_handled(ledger: Ledger, *, once: bool) -> None:
    """Each queue handled each acknowledged event: once, or at least once."""
    assert {queue: missing(ledger, queue) for queue in QUEUES} == {queue: set() for queue in QUEUES}
    if once:
        assert {line: times for line, times in Counter(ledger.read(HANDLED)).items() if times > 1} == {}


def missing(ledger: Ledger, queue: str) -> set[str]:
    """Return the acknowledged events that no handler of a queue has finished."""
    handled = {line.removeprefix(f"{queue} ") for line in ledger.read(HANDLED) if line.startswith(f"{queue} ")}
    return set(ledger.read(PUBLISHED)) - handled


async def _value_of(condition: Callable[[], Any]) -> Any:
    value = condition()
    return await value if asyncio.iscoroutine(value) else value
