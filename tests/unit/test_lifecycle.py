"""Running a loop once and stopping it."""

import asyncio

import pytest

from domainstream.errors import ConfigurationError
from domainstream.lifecycle import Lifecycle, cancel_and_wait


async def swallow(times: int) -> None:
    """End only after this many cancellations."""
    for _ in range(times):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            continue


class Program:
    """A loop that ends when it is stopped, and remembers how it was treated."""

    def __init__(self) -> None:
        self.lifecycle = Lifecycle("Program")
        self.began = asyncio.Event()
        self.ended: list[str] = []
        self.released = 0

    async def run(self) -> None:
        """Run the loop."""
        await self.lifecycle.run(self.loop)

    async def loop(self) -> None:
        """Wait for the end, and tidy up."""
        self.began.set()
        try:
            await self.lifecycle.rest(60)
            await asyncio.sleep(0)
            self.ended.append("well")
        except asyncio.CancelledError:
            self.ended.append("cut off")
            raise

    async def close(self) -> None:
        """Close the program."""
        await self.lifecycle.close(self.release)

    async def release(self) -> None:
        """Count."""
        self.released += 1


async def test_close_stops_the_loop_and_then_releases() -> None:
    """A running loop ends by itself before anything it uses is given back."""
    program = Program()
    running = asyncio.create_task(program.run())
    await program.began.wait()
    await program.close()
    assert program.ended == ["well"]
    assert program.released == 1
    await running


async def test_stop_before_run_ends_it_at_once() -> None:
    """A program that is told to stop before it runs does its last step and returns."""
    program = Program()
    program.lifecycle.stop()
    async with asyncio.timeout(1):
        await program.run()
    assert program.ended == ["well"]


async def test_program_runs_once() -> None:
    """A second run is rejected, also after close, with advice to create a new program."""
    program = Program()
    await program.close()
    with pytest.raises(ConfigurationError, match=r"(?s)Program\.run.*create a new one with Program\.from_url"):
        await program.run()


async def test_cancellation_stops_the_loop_gracefully() -> None:
    """Cancelling `run` stops the loop gracefully, and the cancellation is raised afterwards."""
    program = Program()
    running = asyncio.create_task(program.run())
    await program.began.wait()
    running.cancel()
    await asyncio.wait([running])
    assert running.cancelled() is True
    assert program.ended == ["well"]


async def test_second_cancellation_cuts_the_loop_off() -> None:
    """A second cancellation aborts the loop."""
    lifecycle, began, cut_off = Lifecycle("Program"), asyncio.Event(), asyncio.Event()

    async def deaf() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cut_off.set()
            raise

    running = asyncio.create_task(lifecycle.run(deaf))
    await began.wait()
    running.cancel()
    await lifecycle.stopping.wait()
    running.cancel()
    await asyncio.wait([running])
    assert running.cancelled() is True
    assert cut_off.is_set() is True


async def test_errors_of_the_loop_are_raised() -> None:
    """An error that ends the loop is raised by `run`."""

    async def failing() -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await Lifecycle("Program").run(failing)


async def test_task_is_cancelled_until_it_ends() -> None:
    """A task that swallows its first cancellations is cancelled until it ends."""
    task = asyncio.create_task(swallow(3))
    await asyncio.sleep(0)
    async with asyncio.timeout(1):
        await cancel_and_wait(task)
    assert task.done()
