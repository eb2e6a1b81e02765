"""Publishes to the channels of a cluster without a pause, and knows what was promised about each message."""

import asyncio
import time
from itertools import pairwise
from typing import Final, Self

from redis.asyncio import Redis
from support.publishing import entries, messages

from domainstream import Outcome, RedisStreamPublisherClient
from domainstream.testing.cluster_lab import ClusterLab

CHANNELS: Final = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta")
"""Channels whose streams lie on all primaries."""


class Record:
    """Publishes to every channel, one call after the other in each, and keeps what was acknowledged."""

    def __init__(self, client: RedisStreamPublisherClient) -> None:
        self.acknowledged: dict[str, list[bytes]] = {channel: [] for channel in CHANNELS}
        self.uncertain: set[bytes] = set()
        """Messages whose receipts say `unknown`: they may be there."""
        self.acknowledged_at: dict[str, list[float]] = {channel: [] for channel in CHANNELS}
        """When messages of a channel were acknowledged."""
        self._client = client
        self._news = asyncio.Event()
        self._over = asyncio.Event()

    @property
    def total(self) -> int:
        """How many messages were acknowledged."""
        return sum(map(len, self.acknowledged.values()))

    @property
    def longest_stall(self) -> float:
        """The longest time without an acknowledgement in a channel, in seconds."""
        return max(later - one for times in self.acknowledged_at.values() for one, later in pairwise(times))

    async def __aenter__(self) -> Self:
        self._publishing = [asyncio.create_task(self._publish(channel)) for channel in CHANNELS]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._over.set()
        await asyncio.gather(*self._publishing)

    async def _publish(self, channel: str) -> None:
        while not self._over.is_set():
            batch = messages(channel, 5)
            for message, receipt in zip(batch, await self._client.publish(batch), strict=True):
                if receipt.outcome is Outcome.PUBLISHED:
                    self.acknowledged[channel].append(message.data)
                    self.acknowledged_at[channel].append(time.monotonic())
                    self._news.set()
                elif receipt.outcome is Outcome.UNKNOWN:
                    self.uncertain.add(message.data)
            await asyncio.sleep(0.001)

    async def all_acknowledged_since(self, moment: float) -> None:
        """Wait until each channel has had a message acknowledged after a moment."""
        async with asyncio.timeout(60):
            while min((times or [0.0])[-1] for times in self.acknowledged_at.values()) <= moment:
                self._news.clear()
                await self._news.wait()

    async def assert_kept(self, cluster: ClusterLab) -> None:
        """What was acknowledged is in its stream once and in order, and besides only uncertain messages."""
        for channel in CHANNELS:
            async with Redis.from_url(cluster.primary_of(channel).url) as redis:
                stored = [data for _, data in await entries(redis, channel)]
            assert len(stored) == len(set(stored))
            assert [data for data in stored if data not in self.uncertain] == self.acknowledged[channel]
