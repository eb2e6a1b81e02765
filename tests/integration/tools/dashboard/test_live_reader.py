"""What the reader for open pages asks of the server: once for all viewers, and slowly."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest
from redis.asyncio import Redis
from starlette.requests import Request
from starlette.responses import StreamingResponse
from support.consuming import PATIENCE
from support.dashboards import Hospital

from domainstream.tools.dashboard import live as live_module
from domainstream.tools.dashboard.facts import Facts
from domainstream.tools.dashboard.live import COMMANDS, OF_CHANNEL, OF_GROUP, OF_QUEUE, Live

CODED = "domain_coding_stay_coded"


class OpenPage(Request):
    """A page that stays open."""

    def __init__(self) -> None:
        super().__init__({"type": "http"})

    async def is_disconnected(self) -> bool:
        """Return that it is open."""
        return False


@asynccontextmanager
async def facts_of(hospital: Hospital) -> AsyncIterator[Facts]:
    """Read the facts of the hospital for the time of the block."""
    facts = Facts(hospital.settings())
    try:
        yield facts
    finally:
        await facts.close()


async def viewer(live: Live) -> AsyncIterator[bytes]:
    """Return what an open page is sent."""
    response = cast("StreamingResponse", await live.stream(OpenPage()))
    return cast("AsyncIterator[bytes]", response.body_iterator)


async def commands_of(redis: Redis, work: Callable[[], Awaitable[Any]]) -> int:
    """Return how many commands clients send while work is done, without those that scripts call."""
    async with asyncio.timeout(PATIENCE), redis.monitor() as monitor:
        await work()
        await redis.echo("done")
        sent = 0
        while (seen := await monitor.next_command())["command"] != "ECHO done":
            sent += seen["client_type"] != "lua"
    return sent


async def test_viewers_share_one_reader(day: Hospital, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many pages are open, each queue and each channel is read once in a round."""
    monkeypatch.setattr(live_module, "COMMANDS", 1_000_000)
    monkeypatch.setattr(live_module, "PAUSE", 0.0)
    reads, rounds = Counter[str](), asyncio.Semaphore(0)
    async with asyncio.timeout(PATIENCE), facts_of(day) as facts:
        live = Live(facts)
        read_queues, read_channels, last_names = facts.queue_facts, facts.channel_facts, facts.names.last

        async def counted_queues(*names: str) -> Any:
            reads.update(names)
            return await read_queues(*names)

        async def counted_channels(*names: str) -> Any:
            reads.update(names)
            return await read_channels(*names)

        async def counted_names() -> Any:
            reads["rounds"] += 1
            rounds.release()
            return await last_names()

        monkeypatch.setattr(facts, "queue_facts", counted_queues)
        monkeypatch.setattr(facts, "channel_facts", counted_channels)
        monkeypatch.setattr(facts.names, "last", counted_names)
        pages = [await viewer(live) for _ in range(3)]
        for page in pages:
            while b"queue:billing:failed" not in await anext(page):
                pass
        for _ in range(3):
            await rounds.acquire()
        await live.close()
    assert reads["billing"] <= reads["rounds"]
    assert reads[CODED] <= reads["rounds"]


async def test_queue_takes_as_many_commands_as_are_paused_for(day: Hospital) -> None:
    """Reading a queue takes no more commands than the pause after it is made for."""
    async with facts_of(day) as facts:
        await facts.queue_facts("billing")
        assert await commands_of(day.redis, lambda: facts.queue_facts("billing")) <= OF_QUEUE


async def test_channel_takes_as_many_commands_as_are_paused_for(day: Hospital) -> None:
    """Reading a channel with a group takes no more commands than the pause after it is made for."""
    async with facts_of(day) as facts:
        await facts.channel_facts(CODED)
        assert await commands_of(day.redis, lambda: facts.channel_facts(CODED)) <= OF_CHANNEL + OF_GROUP


async def test_reader_pauses_after_each_read(day: Hospital, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pauses of a round are so long that no more than 20 commands are sent in a second."""
    pauses: list[float] = []
    second_round = asyncio.Event()

    async def noted(seconds: float) -> None:
        pauses.append(seconds)

    async with asyncio.timeout(PATIENCE), facts_of(day) as facts:
        live, last_names = Live(facts), facts.names.last

        async def names() -> Any:
            if pauses:
                second_round.set()
                await asyncio.Event().wait()
            return await last_names()

        monkeypatch.setattr(facts.names, "last", names)
        monkeypatch.setattr(live_module, "asyncio", SimpleNamespace(**{**vars(asyncio), "sleep": noted}))
        page = await viewer(live)
        await anext(page)
        await anext(page)
        await second_round.wait()
        await live.close()
    # Two queues, and three channels of which two have a group.
    assert sum(pauses) >= (2 * OF_QUEUE + 3 * OF_CHANNEL + 2 * OF_GROUP) / COMMANDS
