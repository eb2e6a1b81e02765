"""The streams in memory keep the contracts of the ports."""

import asyncio

import pytest
from support.memory_streams import MemoryHarness

from domainstream.stream import MemoryStreams, MemoryWakeUps
from domainstream.testing.dead_letter_contract import DeadLetterContract
from domainstream.testing.stream_contract import FIRST, SECOND, StreamContract
from domainstream.testing.stream_lease_contract import StreamLeaseContract


@pytest.fixture
async def harness() -> MemoryHarness:
    """Streams in memory."""
    return MemoryHarness()


class TestMemoryStream(StreamContract):
    """The contract of readers, in memory."""


class TestMemoryLeases(StreamLeaseContract):
    """The contract of leases, in memory."""


class TestMemoryDeadLetters(DeadLetterContract):
    """The contract of dead letters, in memory."""


async def test_wait_returns_what_has_changed_since_the_last() -> None:
    """Each stream that changed is named once, at once if it had changed before the wait."""
    streams = MemoryStreams()
    wake_ups = MemoryWakeUps(streams, [FIRST, SECOND])
    streams.add(FIRST, b"data")
    assert await wake_ups.wait(60) == {FIRST}
    waiting = asyncio.create_task(wake_ups.wait(60))
    await asyncio.sleep(0)
    streams.add("another_channel", b"data")
    await asyncio.sleep(0)
    streams.destroy_group(SECOND, "group")
    assert await waiting == {SECOND}


async def test_wait_without_changes_ends_in_time() -> None:
    """It returns nothing after the time that it was given."""
    assert await MemoryWakeUps(MemoryStreams(), [FIRST]).wait(0.01) == set()


async def test_listener_runs_until_it_is_cancelled() -> None:
    """A subscriber runs it as a task, whose end would be a failure."""
    running = asyncio.create_task(MemoryWakeUps(MemoryStreams(), [FIRST]).run())
    await asyncio.sleep(0)
    running.cancel()
    await asyncio.wait([running])
    assert running.cancelled()
