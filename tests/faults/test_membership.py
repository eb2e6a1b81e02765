"""Instances that share partitions come, go and are killed: each event gets one job, in the order of its partition."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any, Final

import pytest
from faults.children.member import MemberOrder, run_member
from faults.children.process import Child
from faults.sizes import Size
from redis.asyncio import Redis
from redis.exceptions import ResponseError
from support.consuming import BullJobs, until
from support.partitions import STREAMS, assert_once_and_in_order, in_the_streams, owners, producer_of, stays

from domainstream import RedisStreamPublisherClient
from domainstream.stream.assignment import assign
from domainstream.testing import EmbeddedServer

LEASE: Final = 2.0
MOST: Final = 4
"""Instances at a time."""


class Group:
    """The processes of one group."""

    def __init__(self, url: str, folder: Path) -> None:
        self.alive: dict[str, Child] = {}
        """The processes that have not been asked to end, by name."""
        self._url, self._folder = url, folder
        self._names = (f"member-{number}" for number in count(1))
        self._all: list[Child] = []

    def start(self) -> None:
        """Start an instance."""
        name = next(self._names)
        self.alive[name] = Child(run_member, MemberOrder(url=self._url, name=name, lease=LEASE), self._folder)
        self._all.append(self.alive[name])

    def change(self, chance: random.Random) -> str:
        """Start, terminate or kill an instance; return which of these."""
        how = chance.choice(["come", "go", "die"])
        if how == "come" and len(self.alive) == MOST:
            how = "die"
        if how == "come" or len(self.alive) == 1:
            self.start()
            return "come"
        child = self.alive.pop(chance.choice(sorted(self.alive)))
        if how == "go":
            child.terminate()
        else:
            child.kill()
        return how

    def close(self) -> None:
        """Kill all that are left."""
        for child in self._all:
            if not child.ended:
                child.kill()


@pytest.fixture
async def group(server: EmbeddedServer, tmp_path: Path) -> AsyncIterator[Group]:
    """A group without instances."""
    group = Group(server.url, tmp_path)
    yield group
    group.close()


@asynccontextmanager
async def publishing(url: str) -> AsyncIterator[None]:
    """Publish an event of each aggregate every few milliseconds."""
    over = asyncio.Event()

    async def publish() -> None:
        async with RedisStreamPublisherClient.from_url(url) as client:
            producer = producer_of(client)
            for number in count():
                await producer.publish_many(stays(number))
                with suppress(TimeoutError):
                    async with asyncio.timeout(0.02):
                        await over.wait()
                if over.is_set():
                    return

    task = asyncio.create_task(publish())
    try:
        yield
    finally:
        over.set()
        await task


async def owned(redis: Redis, group: Group, patience: float) -> float:
    """Wait until living instances have all partitions; return how many seconds that took."""
    began = time.monotonic()

    async def are_owned() -> bool:
        return {*await owners(redis)} <= {*group.alive}

    await until(are_owned, patience=patience)
    return time.monotonic() - began


async def test_order_survives_changes_of_the_group(
    server: EmbeddedServer, group: Group, size: Size, chance: random.Random, report: Callable[[str], None]
) -> None:
    """Whatever happens to the instances, each event has one job, in the order of its partition."""
    took: dict[str, list[float]] = {"come": [], "go": [], "die": []}
    async with Redis.from_url(server.url) as redis:
        group.start()
        await owned(redis, group, size.patience)
        async with publishing(server.url):
            for _ in range(size.membership_changes):
                how = group.change(chance)
                took[how].append(await owned(redis, group, size.patience))
                await asyncio.sleep(chance.random() / 2)
        jobs, streams = BullJobs(redis, "bull", "valuation"), await in_the_streams(redis)

        async def all_are_there() -> bool:
            return len(await jobs.ids()) >= sum(map(len, streams))

        await until(all_are_there, patience=size.patience)
        assert_once_and_in_order(await jobs.ids(), streams)
    for how, seconds in took.items():
        if seconds:
            report(f"{len(seconds)} times {how}: partitions of the living again after at most {max(seconds):.1f} s")


async def read_without_lease(
    redis: Redis, name: str, mine: set[str], over: asyncio.Event, chance: random.Random
) -> None:
    """Read the streams that are one's own at the moment, a batch at a time, and add a job for each entry."""
    while not over.is_set():
        for stream in sorted(mine):
            found: Any = await redis.xreadgroup("naive", name, {stream: ">"}, count=20)
            for _, entries in found or ():
                await asyncio.sleep(chance.random() / 20)  # what decoding and a busy queue take
                await redis.rpush("jobs", *[f"{stream} {entry_id.decode()}" for entry_id, _ in entries])
        await asyncio.sleep(0)


@pytest.mark.one_server
async def test_control_without_waiting_for_the_one_before(server: EmbeddedServer, chance: random.Random) -> None:
    """Control: instances that begin to read at once when a partition becomes theirs break its order."""
    over = asyncio.Event()
    async with Redis.from_url(server.url) as redis:
        for stream in STREAMS:
            with suppress(ResponseError):
                await redis.xgroup_create(stream, "naive", id="0", mkstream=True)
        shares: dict[str, set[str]] = {name: set() for name in ("a", "b", "c")}
        tasks = [
            asyncio.create_task(read_without_lease(redis, name, mine, over, chance)) for name, mine in shares.items()
        ]
        async with publishing(server.url):
            for _ in range(100):
                present = chance.sample(sorted(shares), 2)
                assigned = assign(STREAMS, present)
                for name, mine in shares.items():
                    mine.clear()
                    mine |= {stream for stream, owner in assigned.items() if owner == name}
                await asyncio.sleep(0.02)
        over.set()
        await asyncio.gather(*tasks)
        order: dict[str, list[tuple[int, ...]]] = {}
        jobs: Any = await redis.lrange("jobs", 0, -1)
        for job in jobs:
            stream, entry_id = job.decode().split()
            order.setdefault(stream, []).append(tuple(map(int, entry_id.split("-"))))
    assert any(ids != sorted(ids) for ids in order.values())
