"""Instances that share partitions come, go and are killed: each event gets one job, in the order of its partition."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import pytest
from faults.group import Group, publishing
from faults.sizes import Size
from redis.asyncio import Redis
from redis.exceptions import ResponseError
from support.consuming import BullJobs, until
from support.partitions import STREAMS, assert_once_and_in_order, in_the_streams, owners

from domainstream.stream.assignment import assign
from domainstream.testing import EmbeddedServer

MOST: Final = 4
"""Instances at a time."""


@pytest.fixture
async def group(server: EmbeddedServer, tmp_path: Path) -> AsyncIterator[Group]:
    """A group without instances."""
    group = Group(server.url, tmp_path)
    yield group
    group.close()


async def owned(redis: Redis, group: Group, patience: float) -> float:
    """Wait until living instances have all partitions; return how many seconds that took."""
    began = time.monotonic()

    async def are_owned() -> bool:
        return {*await owners(redis)} <= {*group.alive}

    await until(are_owned, patience=patience)
    return time.monotonic() - began


def choice(group: Group, chance: random.Random) -> str:
    """Choose what happens to a group that never gets empty, nor larger than `MOST`."""
    how = chance.choice(["come", "go", "die"])
    if how == "come" and len(group.alive) == MOST:
        return "die"
    return "come" if len(group.alive) == 1 else how


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
                how = choice(group, chance)
                group.change(how, chance)
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
