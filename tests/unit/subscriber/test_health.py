"""What a subscriber says about itself, and what ends it."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from support.consuming import EVALUATED, GROUP, PATIENCE, Channel, evaluated, message, running, subscriptions_of, until

from domainstream.errors import ServerUnavailableError
from domainstream.health import Health
from domainstream.queue import MemoryQueue, TwoStepForwarder
from domainstream.stream import Delivery, MemoryDeadLetters, MemoryStreamReader, MemoryStreams, ReaderSettings
from domainstream.subscriber import JobRouter, StreamSubscriber


class FlakyReader(MemoryStreamReader):
    """A reader whose server is away while `away` is set."""

    away = False

    async def read(self) -> Sequence[Delivery]:
        """Fail, or read."""
        if self.away:
            raise ServerUnavailableError("the server is away")
        return await super().read()


class BrokenForwarder:
    """A forwarder with a bug."""

    async def forward(self, *_: object) -> None:
        """Fail."""
        raise ZeroDivisionError("a bug")

    async def close(self) -> None:
        """Close nothing."""


class BrokenTask:
    """A maintenance task with a bug."""

    every = timedelta(milliseconds=1)

    async def run_once(self) -> None:
        """Fail."""
        raise ZeroDivisionError("a bug")

    async def close(self) -> None:
        """Close nothing."""


class Scene:
    """A subscriber on streams in memory."""

    def __init__(self, *, forwarder: Any = None, maintenance: Sequence[Any] = ()) -> None:
        self.streams, queue = MemoryStreams(), MemoryQueue()
        settings = ReaderSettings(block=timedelta(milliseconds=20))
        self.reader = FlakyReader(self.streams, Channel, group=GROUP, settings=settings)
        forwarder = forwarder or TwoStepForwarder(queue, MemoryDeadLetters(self.streams, group=GROUP), self.reader)
        router = JobRouter(subscriptions_of("valuation"))
        self.subscriber = StreamSubscriber(self.reader, forwarder, router, maintenance=maintenance)

    async def is_healthy(self) -> bool:
        """Return whether the subscriber says so."""
        return (await self.subscriber.health()).ok


async def test_subscriber_is_healthy_while_it_runs() -> None:
    """A subscriber is ready from the start of its run to the end of it."""
    scene = Scene()
    away = Health(ok=False, problem="the subscriber does not run")
    assert await scene.subscriber.health() == away
    async with running(scene.subscriber):
        await until(scene.is_healthy)
    assert await scene.subscriber.health() == away


async def test_read_that_fails_makes_it_unhealthy_until_one_succeeds() -> None:
    """A subscriber that cannot read says why, although forwarding has not failed."""
    scene = Scene()
    async with running(scene.subscriber):
        await until(scene.is_healthy)
        scene.reader.away = True

        async def is_unhealthy() -> bool:
            return await scene.subscriber.health() == Health(ok=False, problem="the server is away")

        await until(is_unhealthy)
        scene.reader.away = False
        await until(scene.is_healthy)


@pytest.mark.parametrize(
    ("task", "parts"),
    [("BrokenTask", {"maintenance": [BrokenTask()]}), ("delivery", {"forwarder": BrokenForwarder()})],
)
async def test_bug_in_the_background_ends_the_run(
    task: str, parts: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """A background task that fails with anything but a server error ends the subscriber, which says so before."""
    scene = Scene(**parts)
    scene.streams.add(EVALUATED, message(evaluated()))
    run = asyncio.create_task(scene.subscriber.run())
    async with asyncio.timeout(PATIENCE):
        await scene.subscriber._lifecycle.stopping.wait()
        problem = f"the {task} has died: ZeroDivisionError: a bug"
        assert await scene.subscriber.health() == Health(ok=False, problem=problem)
        with pytest.raises(ZeroDivisionError):
            await run
    assert f"background.died program=StreamSubscriber task={task} reason=ZeroDivisionError: a bug" in caplog.text
