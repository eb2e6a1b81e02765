"""Handlers that are plain functions run in threads."""

import asyncio
import gc
import sys
import threading
from collections.abc import Coroutine
from functools import partial
from typing import Any

import pytest
from support.consuming import OptimizationEvaluated, calculated, evaluated, until
from support.handling import attempt_with, received

from domainstream.event import BaseEvent
from domainstream.worker import EventConsumer, EventContext
from domainstream.worker.outcomes import Completed, Failed
from domainstream.worker.thread_pool import HandlerThreadPool

MANY = 100
"""More threads than asyncio's default executor has."""


def alive(name: str) -> int:
    """Count the threads of a pool."""
    return sum(thread.name == f"handlers of {name}" for thread in threading.enumerate())


async def test_as_many_run_at_once_as_are_called() -> None:
    """Calls never wait for each other's threads: the worker's concurrency is the only limit."""
    consumer, met = EventConsumer("many"), threading.Barrier(MANY, timeout=10)

    @consumer.on(OptimizationEvaluated)
    def handler(event: OptimizationEvaluated, context: EventContext) -> None:
        met.wait()

    await asyncio.gather(*(consumer.handle(received()) for _ in range(MANY)))


async def test_default_executor_starves() -> None:
    """Control: in asyncio's default executor the same handlers wait for each other forever."""
    met = threading.Barrier(MANY)
    calls = [asyncio.create_task(asyncio.to_thread(met.wait)) for _ in range(MANY)]
    await until(lambda: met.n_waiting > 1)
    assert not (await asyncio.wait(calls, timeout=0.1))[0]
    met.abort()
    assert {type(end) for end in await asyncio.gather(*calls, return_exceptions=True)} == {threading.BrokenBarrierError}


async def test_threads_are_used_again() -> None:
    """Calls made one after the other share one thread."""
    threads = HandlerThreadPool("again")
    idents = {await threads.run(threading.get_ident) for _ in range(20)}
    assert len(idents) == alive("again") == 1


async def test_idle_threads_end_with_their_owner() -> None:
    """A pool that is garbage collected ends its threads."""
    threads = HandlerThreadPool("gone")
    await asyncio.gather(*(threads.run(threading.get_ident) for _ in range(3)))
    assert alive("gone") > 0
    del threads
    gc.collect()
    await until(lambda: alive("gone") == 0)


async def test_number_of_threads_is_bounded() -> None:
    """Once all threads are busy, as with functions that hang, further calls wait."""
    threads, going_on = HandlerThreadPool("bounded", max_threads=2), threading.Event()
    calls = [asyncio.create_task(threads.run(going_on.wait)) for _ in range(3)]
    await asyncio.wait(calls, timeout=0.05)
    assert alive("bounded") == 2
    going_on.set()
    assert await asyncio.gather(*calls) == [True] * 3
    assert alive("bounded") == 2


async def test_machine_without_threads_fails_the_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call for which no thread can be started raises, and the next call may succeed."""

    def no_thread(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    threads = HandlerThreadPool("none", max_threads=1)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", no_thread)
        with pytest.raises(RuntimeError, match="can't start"):
            await threads.run(int, "7")
    assert await threads.run(int, "7") == 7


async def test_abandoned_thread_is_free_again_at_its_end() -> None:
    """The thread of a cancelled call is reused once its function has returned."""
    threads, going_on = HandlerThreadPool("late", max_threads=1), threading.Event()
    call = asyncio.create_task(threads.run(going_on.wait))
    await until(lambda: alive("late") == 1)
    call.cancel()
    await asyncio.wait([call])
    going_on.set()
    assert await threads.run(int, "7") == 7


async def test_call_that_never_got_a_thread_is_not_made() -> None:
    """A call that is cancelled while it waits for a thread never runs its function."""
    threads, going_on, calls = HandlerThreadPool("never", max_threads=1), threading.Event(), list[int]()
    first = asyncio.create_task(threads.run(going_on.wait))
    second = asyncio.create_task(threads.run(calls.append, 1))
    await until(lambda: alive("never") == 1)
    second.cancel()
    going_on.set()
    await asyncio.wait([first, second])
    assert await threads.run(len, calls) == 0
    assert second.cancelled() is True


@pytest.mark.parametrize("error", [ValueError("why"), StopIteration("why")])
async def test_error_of_a_thread_arrives(error: Exception) -> None:
    """An error raised in a thread fails the attempt, even one that futures cannot hold."""

    def handler(event: OptimizationEvaluated, context: EventContext) -> None:
        raise error

    failed = await attempt_with(handler)
    assert isinstance(failed, Failed)
    assert "in handler" in failed.stack
    assert "why" in failed.stack


async def test_sys_exit_in_a_thread_ends_the_handler_only() -> None:
    """`sys.exit` in a thread fails the attempt, and the worker runs on."""
    failed = await attempt_with(lambda _event, _context: sys.exit(3))
    assert isinstance(failed, Failed)
    assert failed.reason.startswith("HandlerCancelledError: the handler called sys.exit")


async def test_events_made_in_a_thread_have_their_cause() -> None:
    """Events made in a thread get the ids of the event that is handled."""
    made: list[BaseEvent[Any]] = []

    def handler(event: OptimizationEvaluated, context: EventContext) -> None:
        made.append(calculated())

    assert await attempt_with(handler, received(evaluated(id="cause-1", correlation_id="stay-7"))) == Completed()
    assert made[0].correlation_id == "stay-7"
    assert made[0].causation_id == "cause-1"


class AsyncObject:
    """A handler that is an object with state."""

    def __init__(self) -> None:
        self.threads: list[threading.Thread] = []

    async def __call__(self, event: OptimizationEvaluated, context: EventContext) -> None:
        """Record the thread this runs in."""
        self.threads.append(threading.current_thread())


async def test_async_objects_and_partials_run_in_the_event_loop() -> None:
    """Objects with an async `__call__`, bound methods and partials run without a thread."""
    handler = AsyncObject()
    for each in (handler, handler.__call__, partial(handler.__call__)):
        consumer = EventConsumer("async")
        consumer.on(OptimizationEvaluated)(each)
        await consumer.handle(received())
        assert alive("async") == 0
    assert handler.threads == [threading.main_thread()] * 3


async def test_coroutine_that_a_plain_function_returns_is_awaited() -> None:
    """A coroutine returned by a plain function, as by a decorator, is awaited in the event loop."""
    handler = AsyncObject()

    def wrapped(event: OptimizationEvaluated, context: EventContext) -> Coroutine[Any, Any, None]:
        return handler(event, context)

    assert await attempt_with(wrapped) == Completed()
    assert handler.threads == [threading.main_thread()]


def test_thread_that_outlives_its_loop_ends() -> None:
    """A thread that is still running when its event loop is closed ends after its function."""
    threads, going_on = HandlerThreadPool("outlived"), threading.Event()

    async def abandon() -> None:
        call = asyncio.create_task(threads.run(going_on.wait))
        await until(lambda: alive("outlived") == 1)
        call.cancel()
        await asyncio.wait([call])

    asyncio.run(abandon())
    going_on.set()
    asyncio.run(until(lambda: alive("outlived") == 0))
    assert asyncio.run(threads.run(int, "7")) == 7
