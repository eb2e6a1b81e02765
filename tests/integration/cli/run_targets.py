"""Targets of `domainstream run` in the tests, one kind of object per name."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from support.consuming import OptimizationEvaluated, subscriptions_of

from domainstream.worker import EventConsumer, EventContext

subscriptions = subscriptions_of("valuation")
consumer = EventConsumer("valuation")


@consumer.on(OptimizationEvaluated)
async def price_stay(event: OptimizationEvaluated, context: EventContext) -> None:
    """Take as long as a test wants, and print that it began."""
    print("handling", flush=True)  # noqa: T201 - the test waits for it
    await asyncio.sleep(float(os.environ.get("HANDLING_SECONDS", "0")))
    print("handled", flush=True)  # noqa: T201


class Waiting:
    """A program of the user that prints when it ends."""

    def __init__(self) -> None:
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Wait until it is stopped."""
        print("running", os.environ.get("REDIS_URL"), flush=True)  # noqa: T201
        await self._stopping.wait()
        print("stopped", flush=True)  # noqa: T201

    def stop(self) -> None:
        """Let `run` return."""
        self._stopping.set()


class Stubborn(Waiting):
    """A program that does not stop."""

    def stop(self) -> None:
        """Do nothing."""


class Failing(Waiting):
    """A program that fails."""

    async def run(self) -> None:
        """Raise an error that quotes data."""
        raise ValueError("a-secret")


@asynccontextmanager
async def wired() -> AsyncIterator[Waiting]:
    """Open and close something around a program."""
    print("opened", flush=True)  # noqa: T201
    yield Waiting()
    print("closed", flush=True)  # noqa: T201


async def made() -> Waiting:
    """Return a program from a coroutine function."""
    return Waiting()


def broken() -> Waiting:
    """Fail before there is a program."""
    raise KeyError("settings")


number = 7
