"""Publishes from the side of a primary that is cut off from the other servers.

Runs in a network of its own, as `unshare -n python partition.py cluster|sentinel BINARY all|none`, and writes what was
promised and what remained as JSON.
"""

import asyncio
import json
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Final, NamedTuple

from faults.network import CLIENT, cut, join, open_network
from redis.asyncio import Redis
from support.publishing import entries

from domainstream import Confirm, Outcome, PublisherSettings, RedisStreamPublisherClient
from domainstream.producer import OutgoingMessage
from domainstream.testing.cluster_lab import ClusterLab
from domainstream.testing.sentinel_lab import SentinelLab
from domainstream.testing.server_lab import LabNode, ServerLab, wait_until

CHANNEL: Final = "orders"
HOSTS: Final = [f"10.77.0.{number}" for number in range(1, 7)]
DOWN_AFTER: Final = timedelta(seconds=2)


class Scene(NamedTuple):
    """Servers, of which the primary and some others are to be cut off."""

    lab: ServerLab
    primary: LabNode
    cut_off: list[LabNode]
    """The primary, and what is on its side."""
    primary_now: Callable[[], LabNode]
    """Returns the primary that the majority takes for it."""
    is_noticed: Callable[[], bool]
    """Whether the old primary knows that it is one no more."""


def cluster_scene(lab: ClusterLab) -> Scene:
    """Cut off one of three primaries: it notices that it has lost the majority."""
    primary = lab.primary_of(CHANNEL)
    replica = lab.replica_of(primary)
    primary.wait_for_replicas()

    def primary_now() -> LabNode:
        return replica if replica.info("replication")["role"] == "master" else primary

    return Scene(lab, primary, [primary], primary_now, lambda: "state:fail" in primary.command("CLUSTER", "INFO"))


def sentinel_scene(lab: SentinelLab) -> Scene:
    """Cut off the primary and one of three sentinels: neither notices anything while it lasts."""
    primary, others = lab.primary(), lab.servers[1:]
    primary.wait_for_replicas(2)

    def primary_now() -> LabNode:
        return next((node for node in others if node.info("replication")["role"] == "master"), primary)

    return Scene(lab, primary, [primary, lab.sentinels[0]], primary_now, lambda: True)


class Source:
    """Publishes one message after the other."""

    def __init__(self, client: RedisStreamPublisherClient) -> None:
        self.promised: dict[bytes, float] = {}
        """The messages that were acknowledged, and when."""
        self.uncertain = 0
        self._client = client
        self._news = asyncio.Event()

    async def run(self) -> None:
        """Publish until cancelled."""
        for number in count():
            data = b"%d" % number
            (receipt,) = await self._client.publish([OutgoingMessage(CHANNEL, str(number), data)])
            if receipt.outcome is Outcome.PUBLISHED:
                self.promised[data] = time.monotonic()
                self._news.set()
            self.uncertain += receipt.outcome is Outcome.UNKNOWN

    async def more(self, messages: int) -> None:
        """Wait until so many more messages are acknowledged."""
        wanted = len(self.promised) + messages
        async with asyncio.timeout(60):
            while len(self.promised) < wanted:
                self._news.clear()
                await self._news.wait()


async def publish_through_a_partition(scene: Scene, confirm: Confirm | None) -> dict[str, float]:
    """Cut the primary and the publisher off until another one has taken over; return what was promised, and lost."""

    async def until(condition: Callable[[], bool], what: str) -> None:
        await asyncio.to_thread(wait_until, condition, what)

    one_side = [CLIENT, *(node.address.host for node in scene.cut_off)]
    other_side = [host for host in HOSTS if host not in one_side]
    settings = PublisherSettings(url=scene.lab.url, confirm=confirm)
    async with RedisStreamPublisherClient.from_settings(settings) as client:
        source = Source(client)
        publishing = asyncio.create_task(source.run())
        await source.more(200)
        cut(one_side, other_side)
        cut_at = time.monotonic()
        await until(lambda: scene.primary_now() is not scene.primary, "a failover")
        await until(scene.is_noticed, "the news of it")
        join(one_side, other_side)
        mended_at = time.monotonic()
        await until(lambda: scene.primary.info("replication")["role"] == "slave", "the end of the old primary")
        await source.more(200)
        publishing.cancel()
        await asyncio.wait([publishing])
    async with Redis.from_url(scene.primary_now().url) as redis:
        stored = [data for _, data in await entries(redis, CHANNEL)]
    kept = set(stored)
    assert len(stored) == len(kept)
    assert [data for data in stored if data in source.promised] == [data for data in source.promised if data in kept]
    return {
        "promised": len(source.promised),
        "lost": len(source.promised.keys() - kept),
        "uncertain": source.uncertain,
        "promised while cut off": sum(cut_at < at < mended_at for at in source.promised.values()),
        "seconds": round(mended_at - cut_at, 2),
    }


def main(kind: str, binary: str, confirm: str) -> None:
    """Run it."""
    open_network(HOSTS)
    program = Path(binary)
    wanted: Confirm | None = "all" if confirm == "all" else None
    if kind == "cluster":
        with ClusterLab(3, 1, binary=program, node_timeout=DOWN_AFTER, hosts=HOSTS) as cluster:
            figures = asyncio.run(publish_through_a_partition(cluster_scene(cluster), wanted))
    else:
        with SentinelLab(binary=program, down_after=DOWN_AFTER, hosts=HOSTS) as sentinels:
            figures = asyncio.run(publish_through_a_partition(sentinel_scene(sentinels), wanted))
    sys.stdout.write(json.dumps(figures))


if __name__ == "__main__":
    main(*sys.argv[1:])
