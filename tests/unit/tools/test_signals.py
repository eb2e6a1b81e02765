"""Ctrl-C and SIGTERM in the demo: they end the work, and never the cleaning up."""

import asyncio
import signal

import pytest

from domainstream.tools.demo import cancelling
from domainstream.tools.demo.cancelling import cancel_all
from domainstream.tools.signals import InterruptedRunError, Interrupts


async def test_without_a_signal_the_work_is_done() -> None:
    """Its result and its errors come through."""

    async def work() -> str:
        return "done"

    async def fail() -> None:
        raise LookupError("why")

    interrupts = Interrupts()
    assert await interrupts.guard(work()) == "done"
    with pytest.raises(LookupError, match="why"):
        await interrupts.guard(fail())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_the_work(number: signal.Signals) -> None:
    """The work is cancelled, and the error says by which signal."""
    interrupts = Interrupts()
    asyncio.get_running_loop().call_later(0.01, signal.raise_signal, number)
    with pytest.raises(InterruptedRunError, match=number.name) as caught:
        await interrupts.guard(asyncio.sleep(60))
    assert caught.value.signal_number == number


async def test_cleaning_up_is_not_interrupted() -> None:
    """Signals outside of guarded work wait until there is work to end; the first one counts."""
    interrupts = Interrupts()
    signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGINT)
    await asyncio.sleep(0.01)
    with pytest.raises(InterruptedRunError, match="SIGTERM"):
        await interrupts.guard(asyncio.sleep(60))


async def test_work_that_swallows_a_cancellation_is_cancelled_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """As asyncio.wait_for of Python 3.11 does now and then."""
    monkeypatch.setattr(cancelling, "_AGAIN_AFTER", 0.01)
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
    await cancel_all([task])
    assert task.cancelled()
    assert swallowed == 3
