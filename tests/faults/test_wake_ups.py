"""Who reads only the streams that wake-ups name misses nothing, whatever happens to the connections and the servers."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import pytest
from faults.conftest import Report
from faults.sizes import Size
from redis.asyncio import Redis
from support.consuming import until
from support.waking import awake

from domainstream.lifecycle import cancel_and_wait
from domainstream.redis.cluster_link import open_link
from domainstream.redis.link import Arguments, RedisLink
from domainstream.stream.reader.wake_ups import WakeUps
from domainstream.testing import EmbeddedServer, ServerBinary
from domainstream.testing.cluster_lab import ClusterLab

KEYS: Final = tuple(f"domain_{name}" for name in ("alpha", "beta", "gamma", "delta", "epsilon", "zeta"))

Trouble = Callable[[str], Coroutine[Any, Any, None]]
"""What happens to a stream while an entry is added to it."""


class Streams:
    """Adds entries, and reads the streams that wake-ups name and no others."""

    def __init__(self, url: str) -> None:
        self.read: Counter[str] = Counter()
        """How many entries of each stream were read."""
        self.added: Counter[str] = Counter()
        """How many were added."""
        self._url = url
        self._after: dict[str, bytes] = {}
        self._adding = open_link(url)

    async def run(self, wake_ups: WakeUps) -> None:
        """Read until cancelled."""
        link = open_link(self._url)
        try:
            while True:
                for key in await wake_ups.wait(1):
                    entries = await self._reply(link, ("XRANGE", key, self._after.get(key, b"-"), "+"))
                    if entries:
                        self._after[key] = b"(" + entries[-1][0]
                        self.read[key] += len(entries)
        finally:
            await link.close()

    async def add(self, key: str) -> None:
        """Add an entry."""
        await self._reply(self._adding, ("XADD", key, "*", "data", "event"))
        self.added[key] += 1

    async def is_read(self, key: str, patience: float) -> bool:
        """Wait until all entries of a stream are read; return whether they were before `patience` seconds."""
        try:
            await until(lambda: self.read[key] >= self.added[key], patience=patience)
        except TimeoutError:
            return False
        return True

    async def close(self) -> None:
        """Close the connection."""
        await self._adding.close()

    async def _reply(self, link: RedisLink, command: Arguments) -> Sequence[tuple[bytes, object]]:
        while True:
            (reply,) = await link.exchange(command, seconds=1)
            if not isinstance(reply, Exception):
                return reply or ()
            await asyncio.sleep(0.01)


@asynccontextmanager
async def reading(url: str) -> AsyncIterator[Streams]:
    """Streams that are being read."""
    streams = Streams(url)
    async with awake(url, KEYS) as wake_ups:
        task = asyncio.create_task(streams.run(wake_ups))
        yield streams
        await cancel_and_wait(task)
    await streams.close()


async def go_through(
    url: str, trouble: Trouble, rounds: int, chance: random.Random, *, patience: float
) -> tuple[int, str]:
    """Add entries one by one during some trouble and after it, so many times; return how many were missed."""
    times: list[float] = []
    missed = 0
    async with reading(url) as streams:
        for _ in range(rounds):
            key = chance.choice(KEYS)
            happening = asyncio.create_task(trouble(key))
            is_over = False
            while not is_over:
                is_over = happening.done()
                await asyncio.sleep(chance.random() / 100)
                await streams.add(key)
                added = time.monotonic()
                missed += not await streams.is_read(key, patience)
                times.append(time.monotonic() - added)
            await happening
    longest = f"the longest way took {max(times) * 1000:.0f} ms"
    return missed, f"{rounds} times, {len(times)} entries, {missed} missed, {longest}"


@pytest.fixture
def cluster(binary: ServerBinary) -> ClusterLab:
    """Three primaries, each with a replica."""
    return ClusterLab(3, 1, binary=binary.path)


def lost_connections(redis: Redis) -> Trouble:
    """Return a function that ends the connections over which changes are heard."""

    async def trouble(_: str) -> None:
        for client in await redis.client_list():
            if "t" in client["flags"]:
                await redis.client_kill_filter(_id=client["id"])

    return trouble


async def test_no_entry_waits_after_a_lost_connection(
    server: EmbeddedServer, size: Size, chance: random.Random, report: Report
) -> None:
    """Each one is read although the poll never comes."""
    rounds = 20 * size.failovers
    async with Redis.from_url(server.url) as redis:
        missed, figures = await go_through(server.url, lost_connections(redis), rounds, chance, patience=size.patience)
    report(figures)
    assert missed == 0


async def test_control_entries_wait_for_the_poll_unless_all_are_woken(
    server: EmbeddedServer, chance: random.Random, monkeypatch: pytest.MonkeyPatch, report: Report
) -> None:
    """Control: what is added while nobody listens is not heard of."""
    plain = WakeUps._on_change
    started = False

    def only_keys(wake_ups: WakeUps, changed: Sequence[bytes] | None) -> None:
        nonlocal started
        if changed is not None or not started:
            started = True
            plain(wake_ups, changed)

    monkeypatch.setattr(WakeUps, "_on_change", only_keys)
    async with Redis.from_url(server.url) as redis:
        missed, figures = await go_through(server.url, lost_connections(redis), 10, chance, patience=0.3)
    report(figures)
    assert missed > 0


@pytest.mark.parametrize("atomic", [None, False], ids=["as the server can", "key by key"])
async def test_no_entry_waits_after_a_slot_moved(
    cluster: ClusterLab, size: Size, chance: random.Random, report: Report, *, atomic: bool | None
) -> None:
    """It is heard of at either node."""

    async def trouble(key: str) -> None:
        with suppress(LookupError):  # for a moment, no node may take the slot for its own
            to = next(node for node in cluster.nodes[:3] if node is not cluster.primary_of(key))
            await asyncio.to_thread(cluster.move_slot, cluster.slot_of(key), to, atomic=atomic)

    rounds = 5 * size.failovers
    with cluster:
        missed, figures = await go_through(cluster.url, trouble, rounds, chance, patience=size.patience)
    report(figures)
    assert missed == 0


async def test_no_entry_waits_after_a_planned_failover(
    cluster: ClusterLab, size: Size, chance: random.Random, report: Report
) -> None:
    """The old primary reports what it replicates, until the new one is listened to."""

    async def trouble(key: str) -> None:
        await asyncio.to_thread(cluster.wait_ok)
        with suppress(TimeoutError):  # a replica gives up when the primary does not stop in time
            await asyncio.to_thread(cluster.fail_over, key)

    with cluster:
        missed, figures = await go_through(cluster.url, trouble, size.failovers, chance, patience=size.patience)
    report(figures)
    assert missed == 0
