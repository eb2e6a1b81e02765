"""Targets of `domainstream run` in the tests, one kind of object per name."""

import asyncio
import os
import threading
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any

from support.consuming import OptimizationEvaluated, subscriptions_of

from domainstream.tools.serving import exit_deadline, serving
from domainstream.worker import EventConsumer, EventContext

if "IMPATIENT" in os.environ:
    for module, name in ((exit_deadline, "EXIT_TIMEOUT"), (serving, "EXIT_TIMEOUT"), (serving, "ABORT_TIMEOUT")):
        setattr(module, name, 1.0)

subscriptions = subscriptions_of("valuation")
consumer = EventConsumer("valuation")
partitioned = EventConsumer("billing", partitions=3)


@consumer.on(OptimizationEvaluated)
async def price_stay(event: OptimizationEvaluated, context: EventContext) -> None:
    """Take as long as a test wants, and print that it began."""
    print("handling", flush=True)  # noqa: T201 - the test waits for it
    await asyncio.sleep(float(os.environ.get("HANDLING_SECONDS", "0")))
    print("handled", flush=True)  # noqa: T201


partitioned.on(OptimizationEvaluated)(price_stay)


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


def consumer_of(handler: Any, **settings: Any) -> EventConsumer:
    """Return a consumer with one handler."""
    consumer = EventConsumer("valuation", **settings)
    consumer.on(OptimizationEvaluated)(handler)
    return consumer


async def swallow(event: OptimizationEvaluated, context: EventContext) -> None:
    """Ignore every cancellation."""
    print("handling", flush=True)  # noqa: T201
    while True:
        with suppress(BaseException):
            await asyncio.sleep(3600)


def block_a_thread(event: OptimizationEvaluated, context: EventContext) -> None:
    """Never return, in a thread of the worker."""
    print("handling", flush=True)  # noqa: T201
    threading.Event().wait()


async def block_the_default_executor(event: OptimizationEvaluated, context: EventContext) -> None:
    """Never return, in a thread for which asyncio waits at its end."""
    print("handling", flush=True)  # noqa: T201
    await asyncio.to_thread(threading.Event().wait)


async def block_an_executor(event: OptimizationEvaluated, context: EventContext) -> None:
    """Never return, in a thread for which Python waits at its end."""
    print("handling", flush=True)  # noqa: T201
    await asyncio.get_running_loop().run_in_executor(ThreadPoolExecutor(), threading.Event().wait)


async def block_the_event_loop(event: OptimizationEvaluated, context: EventContext) -> None:
    """Never return to the event loop."""
    print("handling", flush=True)  # noqa: T201
    while True:
        time.sleep(0.01)  # noqa: ASYNC251 - what is tested


async def leave_a_task(event: OptimizationEvaluated, context: EventContext) -> None:
    """Return, and leave a task behind that ignores every cancellation."""
    leftovers.append(asyncio.create_task(swallow(event, context)))
    await asyncio.sleep(0)


leftovers: list[asyncio.Task[None]] = []
swallowing = consumer_of(swallow)
swallowing_with_limit = consumer_of(swallow, time_limit=timedelta(seconds=0.1))
blocking_a_thread = consumer_of(block_a_thread)
blocking_the_default_executor = consumer_of(block_the_default_executor)
blocking_an_executor = consumer_of(block_an_executor)
blocking_the_event_loop = consumer_of(block_the_event_loop)
leaving_a_task = consumer_of(leave_a_task)
