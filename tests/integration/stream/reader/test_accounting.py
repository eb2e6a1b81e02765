"""With readers that crash, entries left alone and trims at random: what was added was settled or reported as lost."""

import asyncio
import random
from collections.abc import Sequence
from datetime import timedelta

import pytest
from support.redis_streams import RedisHarness

from domainstream.stream import Delivery, Loss, ReaderSettings
from domainstream.testing.stream_contract import FIRST, SECOND

SETTINGS = ReaderSettings(block=timedelta(milliseconds=20), max_entries=9, claim_after=timedelta(milliseconds=30))
ROUNDS = 120


class Ledger:
    """Who got what, and the chances of this test."""

    def __init__(self, harness: RedisHarness, seed: int) -> None:
        self.harness = harness
        self.chance = random.Random(seed)
        self.added = 0
        self.settled: set[tuple[str, str]] = set()
        self.losses: list[Loss] = []
        self.reclaimed = 0

    async def publish(self) -> None:
        """Add entries, and trim now and then without asking who needs what goes."""
        for _ in range(ROUNDS):
            for channel in (FIRST, SECOND):
                count = self.chance.randrange(20)
                await self.harness.add_many(channel, count)
                self.added += count
                if self.chance.random() < 0.1:
                    await self.harness.trim(channel, keep=self.chance.randrange(20))

    async def vanish_with_entries(self) -> None:
        """Let a consumer read entries and never come back for them."""
        await self.harness.add_many(FIRST, 5)
        self.added += 5
        await self.harness.reader("gone", settings=SETTINGS).read()

    async def consume(self, name: str) -> None:
        """Read; settle most of it, leave some alone, and crash now and then; in the end settle all that comes."""
        reader = self.harness.reader(name, on_loss=self.losses.append, settings=SETTINGS)
        idle = step = 0
        while idle < 20:
            deliveries = await reader.read()
            step, idle = step + 1, 0 if deliveries else idle + 1
            fate = self.chance.random() if step < ROUNDS else 1.0
            if fate < 0.05:
                await reader.close()
                self.reclaimed += reader.stats.reclaimed
                reader = self.harness.reader(name, on_loss=self.losses.append, settings=SETTINGS)
            elif fate > 0.2:
                await reader.acknowledge(deliveries)
                self.settle(deliveries)
        self.reclaimed += reader.stats.reclaimed

    def settle(self, deliveries: Sequence[Delivery]) -> None:
        """Note what was acknowledged."""
        self.settled |= {(one.channel, one.entry_id) for one in deliveries}


@pytest.mark.parametrize("seed", [1, 2])
async def test_everything_is_settled_or_reported_as_lost(harness: RedisHarness, seed: int) -> None:
    """Three readers together lose sight of nothing: the counts add up exactly, and nothing is left pending."""
    ledger = Ledger(harness, seed)
    await harness.reader().read()
    await asyncio.gather(ledger.publish(), *(ledger.consume(name) for name in ("one", "two", "three")))
    await ledger.vanish_with_entries()
    await ledger.consume("four")
    lost_while_pending = {(loss.channel, loss.after) for loss in ledger.losses if loss.after == loss.before}
    lost_unread = sum(loss.count for loss in ledger.losses if loss.after != loss.before)
    assert len(ledger.settled | lost_while_pending) + lost_unread == ledger.added
    assert [await harness.streams.pending(channel) for channel in (FIRST, SECOND)] == [0, 0]
    assert (ledger.reclaimed > 0) is True
    assert (lost_unread > 0) is True
