"""SIGINT and SIGTERM end the guarded work of a tool, and never its cleanup."""

import asyncio
import signal

import pytest

from domainstream.lifecycle import cancel_and_wait
from domainstream.tools.common.errors import InterruptedRunError
from domainstream.tools.signals import Interrupts


async def test_guarded_work_returns_without_a_signal() -> None:
    """Without a signal, guarded work returns its result and raises its own errors."""

    async def work() -> str:
        return "done"

    async def fail() -> None:
        raise LookupError("why")

    interrupts = Interrupts()
    assert await interrupts.guard(work()) == "done"
    with pytest.raises(LookupError, match="why"):
        await interrupts.guard(fail())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_signal_cancels_guarded_work(number: signal.Signals) -> None:
    """A signal cancels guarded work, and the error names the signal."""
    interrupts = Interrupts()
    asyncio.get_running_loop().call_later(0.01, signal.raise_signal, number)
    with pytest.raises(InterruptedRunError, match=number.name) as caught:
        await interrupts.guard(asyncio.sleep(60))
    assert caught.value.signal_number == number


async def test_signal_during_cleanup_interrupts_the_next_guarded_work() -> None:
    """Signals outside of guarded work interrupt the next guarded work, and the first of them is reported."""
    interrupts = Interrupts()
    signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGINT)
    await asyncio.sleep(0.01)
    with pytest.raises(InterruptedRunError, match="SIGTERM"):
        await interrupts.guard(asyncio.sleep(60))


async def test_work_that_swallows_a_cancellation_is_cancelled_again() -> None:
    """A task that swallows cancellations, as asyncio.wait_for of Python 3.11 may, is cancelled until it ends."""
    swallowed = 0

    async def work() -> None:
        nonlocal swallowed
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                swallowed += 1
                if swallowed == 3:
                    raise

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    await cancel_and_wait(task, again=0.01)
    assert task.cancelled()
    assert swallowed == 3
