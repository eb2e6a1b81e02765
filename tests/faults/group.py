"""Instances of one group that share a channel with partitions, each a process, and events for them."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Final

from faults.children.member import MemberOrder, run_member
from faults.children.process import Child
from support.partitions import producer_of, stays

from domainstream import RedisStreamPublisherClient

LEASE: Final = 2.0


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

    def change(self, how: str, chance: random.Random) -> None:
        """Let an instance `come`, `go` or `die`."""
        if how == "come":
            self.start()
            return
        child = self.alive.pop(chance.choice(sorted(self.alive)))
        if how == "go":
            child.terminate()
        else:
            child.kill()

    def close(self) -> None:
        """Kill all that are left."""
        for child in self._all:
            if not child.ended:
                child.kill()


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
