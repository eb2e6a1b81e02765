"""Which streams an instance takes, given who else is there, and what it does when nobody can say."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

from support.consuming import until
from support.partitions import STREAMS, subscriptions

from domainstream.errors import ServerUnavailableError
from domainstream.lifecycle import Lifecycle
from domainstream.subscriber import JobRouter
from domainstream.subscriber.progress import Progress
from domainstream.subscriber.stream_shares import StreamShares

LEASE = timedelta(milliseconds=200)
POOLS = [STREAMS, ("orders", "invoices")]


class Members:
    """Says what the test wants; an error is raised."""

    instance = "one"

    def __init__(self, present: Sequence[str] | Exception) -> None:
        self.present = present
        self.beats = 0
        self.left = False

    async def beat(self) -> frozenset[str]:
        """Answer."""
        self.beats += 1
        if isinstance(self.present, Exception):
            raise self.present
        return frozenset(self.present)

    async def leave(self) -> None:
        """Note it."""
        self.left = True
        if isinstance(self.present, Exception):
            raise self.present


class Shared:
    """The streams that an instance was given, each time."""

    def __init__(self, members: Members) -> None:
        self.progress = Progress("group")
        self.given: list[set[str]] = []
        self.lifecycle = Lifecycle("test")
        self._shares = StreamShares(POOLS, members, self.progress, lease=LEASE)

    async def run(self) -> None:
        """Run until stopped."""
        await self._shares.run(self.lifecycle, self.given.append)


@asynccontextmanager
async def sharing(members: Members) -> AsyncIterator[Shared]:
    """Share streams during the block."""
    shared = Shared(members)
    task = asyncio.create_task(shared.run())
    yield shared
    shared.lifecycle.stop()
    async with asyncio.timeout(10):
        await task


async def beats(members: Members, more: int = 2) -> None:
    """Wait for some more beats."""
    enough = members.beats + more
    await until(lambda: members.beats >= enough)


async def test_instance_alone_takes_all() -> None:
    """Who is alone has every stream, and learns that once."""
    members = Members(["one"])
    async with sharing(members) as shared:
        await beats(members, 5)
    assert shared.given == [{*STREAMS, "orders", "invoices"}]
    assert members.left


async def test_each_pool_is_shared_evenly() -> None:
    """The partitions of each channel are shared evenly, and so are the channels without, each on their own."""
    members = Members(["one", "two"])
    async with sharing(members) as shared:
        await beats(members)
        members.present = ["one", "two", "three"]
        await beats(members)
    first, second = shared.given
    assert len(first & {*STREAMS}) == 6
    assert len(first & {"orders", "invoices"}) == 1
    assert len(second & {*STREAMS}) == 4


async def test_unknown_members_leave_things_as_they_are() -> None:
    """Who cannot ask keeps what it has, reports it, and asks again."""
    members = Members(["one", "two"])
    async with sharing(members) as shared:
        await beats(members)
        members.present = ServerUnavailableError("gone")
        await until(lambda: shared.progress.stats.failures)
        assert not shared.progress.health().ok
        members.present = ["one", "two"]
        await until(lambda: shared.progress.health().ok)
    assert len(shared.given) == 1


async def test_instance_that_never_knew_takes_what_is_free() -> None:
    """Who has never been able to ask tries all streams: leases say which of them are free."""
    members = Members(ServerUnavailableError("gone"))
    async with sharing(members) as shared:
        await until(lambda: shared.given)
        assert shared.given[0] == {*STREAMS, "orders", "invoices"}
        members.present = ["one", "two"]
        await until(lambda: len(shared.given[-1]) == 7)


def test_partitions_of_a_channel_are_a_pool() -> None:
    """A router knows the streams that are alike: the partitions of a channel, and the channels without."""
    assert JobRouter(subscriptions()).pools == [STREAMS, ("domain_coding_stay_closed",)]
