"""Whatever a handler raises, its attempt ends or its process does: no job keeps its place and its lock."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import pytest
from redis import Redis as BlockingRedis
from redis.asyncio import Redis
from support.consuming import BullJobs, OptimizationEvaluated, running, until
from support.working import Valuation, job_of

from domainstream.queue import JobSettings
from domainstream.worker import EventConsumer, EventContext, EventWorker

ONE_ATTEMPT: Final = JobSettings(attempts=1)


class CustomBaseError(BaseException):
    """An error that is no `Exception`, as those that end tests or greenlets."""


class UnprintableError(Exception):
    """An error that can be neither printed nor shown nor copied."""

    def __str__(self) -> str:
        raise ValueError("no text")

    __repr__ = __str__

    def __reduce__(self) -> Any:
        raise TypeError("not to be pickled")


class UnprintableBaseError(UnprintableError, CustomBaseError):
    """Both at once."""


def nested(depth: int) -> BaseException:
    """Return groups in groups, which are deeper than the interpreter's stack."""
    error: Exception = ValueError("innermost")
    for _ in range(depth):
        error = ExceptionGroup("group", [error])
    return error


def nameless() -> BaseException:
    """Return an error whose class claims to be of no module."""
    error: BaseException = type("Nameless", (Exception,), {"__module__": None})("why")
    return error


def chain() -> BaseException:
    """Return an error that cannot be printed, whose cause is itself, in a circle."""
    first, second = UnprintableError(), CustomBaseError()
    first.__cause__, second.__cause__ = second, first
    return first


HOSTILE: dict[str, Callable[[], BaseException]] = {
    "GeneratorExit": GeneratorExit,
    "StopIteration": lambda: StopIteration("why"),
    "StopAsyncIteration": StopAsyncIteration,
    "BaseException": CustomBaseError,
    "unprintable": UnprintableError,
    "unprintable BaseException": UnprintableBaseError,
    "group of KeyboardInterrupt": lambda: BaseExceptionGroup("group", [KeyboardInterrupt(), ValueError("beside")]),
    "group of GeneratorExit": lambda: BaseExceptionGroup("group", [GeneratorExit(), UnprintableError()]),
    "group of cancellations": lambda: BaseExceptionGroup("group", [asyncio.CancelledError()]),
    "deep group": lambda: nested(5_000),
    "nameless": nameless,
    "circle": chain,
    "surrogates": lambda: ValueError("\ud800"),
    "CancelledError": asyncio.CancelledError,
}


def worker_of(queue: Valuation, handler: Callable[..., Any]) -> EventWorker:
    """Return a worker with one place."""
    consumer = EventConsumer("valuation")
    consumer.on(OptimizationEvaluated)(handler)
    return EventWorker.from_url(queue.url, consumer, bull_prefix=queue.prefix, concurrency=1)


async def assert_attempts_fail(queue: Valuation, handler: Callable[..., Any]) -> None:
    """One job after the other fails, in the one place of the worker."""
    await queue.add(*(job_of(job_id=f"event-{number}", settings=ONE_ATTEMPT) for number in range(3)))
    worker = worker_of(queue, handler)
    async with running(worker):
        assert await queue.ended("failed", 3)
        await until(lambda: worker.stats.running == 0)
        assert (await worker.health()).ok
    assert worker.stats.failed == 3
    assert (await queue.jobs.fields("event-0"))["failedReason"]


@pytest.mark.parametrize("error", HOSTILE.values(), ids=HOSTILE)
async def test_attempt_ends_whatever_its_handler_raises(queue: Valuation, error: Callable[[], BaseException]) -> None:
    """A coroutine function that raises anything but an interrupt fails its attempt, and frees its place."""

    async def handler(event: OptimizationEvaluated, context: EventContext) -> None:
        raise error()

    await assert_attempts_fail(queue, handler)


@pytest.mark.parametrize("error", [*HOSTILE.values(), KeyboardInterrupt, SystemExit], ids=[*HOSTILE, "Ctrl-C", "exit"])
async def test_attempt_ends_whatever_its_thread_raises(queue: Valuation, error: Callable[[], BaseException]) -> None:
    """A plain function that raises anything fails its attempt, and frees its place."""

    def handler(event: OptimizationEvaluated, context: EventContext) -> None:
        raise error()

    await assert_attempts_fail(queue, handler)


async def test_handler_that_cancels_its_own_task_fails_its_attempt(queue: Valuation) -> None:
    """A handler that cancels the task in which it runs is not taken for one that its worker cancelled."""

    async def handler(event: OptimizationEvaluated, context: EventContext) -> None:
        task = asyncio.current_task()
        assert task
        task.cancel()
        await asyncio.sleep(0)

    await assert_attempts_fail(queue, handler)


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_interrupt_of_a_handler_ends_the_process_and_its_attempt(
    redis_url: str, stream_prefix: str, error: type[BaseException]
) -> None:
    """A coroutine function that raises SystemExit or KeyboardInterrupt ends the process; its attempt has failed."""

    async def handler(event: OptimizationEvaluated, context: EventContext) -> None:
        raise error(3)

    async def main() -> None:
        async with Redis.from_url(redis_url) as redis:
            queue = Valuation(redis_url, stream_prefix, BullJobs(redis, stream_prefix, "valuation"))
            await queue.add(job_of(settings=JobSettings(attempts=2)))
            await worker_of(queue, handler).run()

    with pytest.raises(error):
        asyncio.run(main())
    with BlockingRedis.from_url(redis_url) as redis:
        assert redis.zrange(f"{stream_prefix}:valuation:delayed", 0, -1) == [b"event-1"]
        assert redis.hget(f"{stream_prefix}:valuation:event-1", "failedReason") == f"{error.__name__}: 3".encode()
