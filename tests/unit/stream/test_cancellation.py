"""Cancellation that something on the way has swallowed."""

import asyncio

from domainstream.stream.cancellation import Cancellation, cancel_and_wait


async def swallow(times: int) -> None:
    """End only after so many cancellations."""
    for _ in range(times):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            continue


async def test_swallowed_cancellation_is_heeded() -> None:
    """A loop that asks learns that it was cancelled, whoever caught the exception."""

    async def loop() -> None:
        cancellation = Cancellation()
        await swallow(1)
        cancellation.heed()

    task = asyncio.create_task(loop())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


async def test_cancellation_of_before_is_not_heeded() -> None:
    """A loop that is run while its task is being cancelled, to clean up, may run."""

    async def loop() -> str:
        await swallow(1)
        Cancellation().heed()
        return "cleaned up"

    task = asyncio.create_task(loop())
    await asyncio.sleep(0)
    task.cancel()
    assert await task == "cleaned up"


async def test_task_is_cancelled_until_it_ends() -> None:
    """A task that swallows the first cancellations ends all the same."""
    task = asyncio.create_task(swallow(3))
    await asyncio.sleep(0)
    async with asyncio.timeout(1):
        await cancel_and_wait(task)
    assert task.done()
