"""Every adder of jobs passes the contract of the port."""

import copy
from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.asyncio import Redis
from support.consuming import BullJobs

from domainstream.queue import BullMQJobAdder, MemoryJobAdder, MemoryQueue
from domainstream.queue.bullmq.add_calls import marks_key
from domainstream.stream.lease import LeaseLostError
from domainstream.testing.job_adder_contract import (
    CHANNEL,
    QUEUES,
    JobAdderContract,
    JobAdderHarness,
    Owner,
    entries_of,
    ids_of,
    lease_of,
)

GROUP = "group"


class MemoryHarness(JobAdderHarness):
    """Queues in memory."""

    def __init__(self) -> None:
        self.queue = MemoryQueue()
        self.saved: dict[str, Any] = {}

    def adder(self) -> MemoryJobAdder:
        """Open an adder."""
        return MemoryJobAdder(self.queue, group=GROUP)

    async def jobs(self, queue: str) -> list[str]:
        """Return the ids of the jobs."""
        return [job.id for job in self.queue.jobs.get(queue, ())]

    async def forget(self, queue: str) -> None:
        """Forget the jobs of a queue."""
        self.queue.jobs.pop(queue, None)
        self.queue.known = {(name, job_id) for name, job_id in self.queue.known if name != queue}

    async def refuse(self, queue: str) -> None:
        """Let a queue refuse what it is given."""
        self.queue.refusing[queue] = "no"

    async def accept(self, queue: str) -> None:
        """Let it take jobs again."""
        del self.queue.refusing[queue]

    async def save(self) -> None:
        """Copy the queues."""
        self.saved = copy.deepcopy(vars(self.queue))

    async def fall_back(self) -> None:
        """Put the copy in their place."""
        vars(self.queue).update(self.saved)

    async def close(self) -> None:
        """Nothing is open."""


class BullMQHarness(JobAdderHarness):
    """Queues on a server; `name` is how BullMQ writes the names of queues there."""

    def __init__(self, redis: Redis, url: str, bull_prefix: str, *, name: str = "{}") -> None:
        self.redis, self.url, self.bull_prefix, self.name = redis, url, bull_prefix, name
        self.opened: list[BullMQJobAdder] = []
        self.saved: dict[Any, bytes] = {}

    def adder(self) -> BullMQJobAdder:
        """Open an adder."""
        adder = BullMQJobAdder.from_url(self.url, group=GROUP, bull_prefix=self.bull_prefix)
        self.opened.append(adder)
        return adder

    async def jobs(self, queue: str) -> list[str]:
        """Return the ids of the jobs."""
        return await BullJobs(self.redis, self.bull_prefix, self.name.format(queue)).ids()

    async def forget(self, queue: str) -> None:
        """Delete all keys of a queue but its marks."""
        name = self.name.format(queue)
        for key in await self.redis.keys(f"{self.bull_prefix}:{name}:*"):
            if key != marks_key(self.bull_prefix, name).encode():
                await self.redis.delete(key)

    async def refuse(self, queue: str) -> None:
        """Let the list of the queue be something else."""
        await self.redis.set(f"{self.bull_prefix}:{self.name.format(queue)}:wait", "text")

    async def accept(self, queue: str) -> None:
        """Remove that."""
        await self.redis.delete(f"{self.bull_prefix}:{self.name.format(queue)}:wait")

    async def save(self) -> None:
        """Dump the keys of all queues."""
        for key in await self.redis.keys(f"{self.bull_prefix}:*"):
            self.saved[key] = await self.redis.dump(key) or b""

    async def fall_back(self) -> None:
        """Restore them."""
        for key in await self.redis.keys(f"{self.bull_prefix}:*"):
            await self.redis.delete(key)
        for key, dumped in self.saved.items():
            await self.redis.restore(key, 0, dumped)

    async def close(self) -> None:
        """Close what was opened."""
        for adder in self.opened:
            await adder.close()


class EachQueueForItself(JobAdderContract):
    """What holds, beside the contract, for entries that do not have jobs in all queues, as those of partitions."""

    async def test_queue_without_jobs_is_not_asked(self, harness: JobAdderHarness) -> None:
        """A queue that gets no job in a call does not matter to it, even if a later owner was there."""
        owner = await Owner.of(harness.adder(), lease_of(1))
        await harness.adder().fence(CHANNEL, lease_of(2), ["billing"])
        assert not await owner.add(1, queues=["valuation"])
        with pytest.raises(LeaseLostError):
            await owner.add(2, queues=["billing"])
        assert await harness.jobs("valuation") == ids_of(1)
        assert await harness.jobs("billing") == []

    async def test_queues_keep_their_own_order(self, harness: JobAdderHarness) -> None:
        """Each queue has the jobs of its entries in order and once, however they are spread."""
        owner = await Owner.of(harness.adder(), lease_of(1))
        entries = [entry for number in range(1, 600) for entry in entries_of(number, queues=[QUEUES[number % 2]])]
        assert not await owner.add_entries(entries)
        for number, queue in enumerate(QUEUES):
            assert await harness.jobs(queue) == ids_of(*[each for each in range(1, 600) if each % 2 == number])
            await harness.forget(queue)
        again = await Owner.of(harness.adder(), lease_of(2, read_to=599))
        assert not await again.add_entries(entries[-10:])
        for queue in QUEUES:
            assert await harness.jobs(queue) == []

    async def test_given_up_entry_is_forgotten_by_all_queues(self, harness: JobAdderHarness) -> None:
        """An entry without jobs is a hole in no queue any more, also where another call adds nothing."""
        owner = await Owner.of(harness.adder(), lease_of(1))
        await harness.refuse("billing")
        (refusal,) = await owner.add(1, queues=["billing"])
        assert refusal.queue == "billing"
        assert not await owner.add_entries(entries_of(1, queues=[]))
        await harness.accept("billing")
        await owner.add(1, queues=["billing"])
        assert await harness.jobs("billing") == []


class TestMemoryJobAdder(EachQueueForItself):
    """The adder in memory."""

    @pytest.fixture
    async def harness(self) -> JobAdderHarness:
        """Queues in memory."""
        return MemoryHarness()


class TestBullMQJobAdder(EachQueueForItself):
    """The adder on each kind of server."""

    @pytest.fixture
    async def harness(self, redis: Redis, redis_url: str, stream_prefix: str) -> AsyncIterator[JobAdderHarness]:
        """Queues on a server."""
        harness = BullMQHarness(redis, redis_url, f"{stream_prefix}bull")
        yield harness
        await harness.close()


class TestBullMQJobAdderOnACluster(JobAdderContract):
    """The adder on a cluster of each kind of server."""

    @pytest.fixture
    async def harness(self, cluster_url: str, stream_prefix: str) -> AsyncIterator[JobAdderHarness]:
        """Queues on a cluster of one node."""
        async with Redis.from_url(cluster_url.replace("redis+cluster", "redis")) as redis:
            harness = BullMQHarness(redis, cluster_url, f"{stream_prefix}bull", name="{{{}}}")
            yield harness
            await harness.close()
