"""Running a loop once and stopping it."""

import asyncio
import logging
import threading
from collections.abc import Callable
from functools import partial

import pytest
from support.consuming import PATIENCE, Stubborn, until

from domainstream.errors import BackgroundTaskError, ConfigurationError
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
    """A program that is asked to stop before it runs does its last step and returns."""
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


async def test_cancellation_while_stopping_aborts() -> None:
    """A program that was asked to stop, and is cancelled before it has, is aborted."""
    lifecycle, began = Lifecycle("Program"), asyncio.Event()

    async def deaf() -> None:
        began.set()
        await asyncio.Event().wait()

    running = asyncio.create_task(lifecycle.run(deaf))
    await began.wait()
    lifecycle.stop()
    running.cancel()
    async with asyncio.timeout(1):
        await asyncio.wait([running])
    assert running.cancelled() is True


async def test_aborted_loop_that_does_not_end_is_abandoned(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loop that ignores its abortion is waited for no longer than its limit, however often `run` is cancelled."""
    monkeypatch.setattr("domainstream.lifecycle.ABORT_LIMIT", 0.05)
    lifecycle, stubborn = Lifecycle("Program"), Stubborn()
    running = asyncio.create_task(lifecycle.run(stubborn.handle))
    await stubborn.started.wait()
    lifecycle.stop()
    async with asyncio.timeout(1):
        while not running.done():
            running.cancel()
            await asyncio.sleep(0.01)
    assert running.cancelled() is True
    assert stubborn.cancellations == 2
    stubborn.give_in.set()


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


async def test_task_that_does_not_end_in_time_is_returned() -> None:
    """With a limit, a task that ignores its cancellations is returned instead of waited for."""
    stubborn = Stubborn()
    task, well = asyncio.create_task(stubborn.handle()), asyncio.create_task(asyncio.sleep(60))
    await stubborn.started.wait()
    async with asyncio.timeout(1):
        assert await cancel_and_wait(task, well, again=0.01, limit=0.05) == {task}
    stubborn.give_in.set()
    await task


async def fail() -> None:
    """Fail, as a bug would."""
    raise TypeError("a bug")


async def end() -> None:
    """End at once."""


def run_in_background(start: Callable[[Lifecycle], object]) -> tuple[Lifecycle, asyncio.Task[None]]:
    """Run a program that starts something in the background, and otherwise waits until it is cancelled."""
    lifecycle = Lifecycle("Program")

    async def loop() -> None:
        start(lifecycle)
        await asyncio.Event().wait()

    return lifecycle, asyncio.create_task(lifecycle.run(loop))


DEATHS = {
    "a task that fails": lambda lifecycle: lifecycle.start(fail(), name="guardian"),
    "a task that fails and may end": lambda lifecycle: lifecycle.start(fail(), name="guardian", once=True),
    "a task that ends": lambda lifecycle: lifecycle.start(end(), name="guardian"),
    "a task that is cancelled": lambda lifecycle: lifecycle.start(asyncio.sleep(60), name="guardian").cancel(),
    "a thread that fails": lambda lifecycle: lifecycle.start_thread(partial(int, "a bug"), name="guardian"),
    "a thread that ends": lambda lifecycle: lifecycle.start_thread(int, name="guardian"),
}


@pytest.mark.parametrize("start", DEATHS.values(), ids=DEATHS)
async def test_death_in_the_background_ends_the_program(
    start: Callable[[Lifecycle], object], caplog: pytest.LogCaptureFixture
) -> None:
    """A program whose background task or thread dies is stopped, says so, and raises the error of that task."""
    lifecycle, running = run_in_background(start)
    async with asyncio.timeout(PATIENCE):
        with pytest.raises((TypeError, ValueError, BackgroundTaskError)):
            await running
    assert lifecycle.stopping.is_set()
    assert lifecycle.problem.startswith("the guardian has died: ")
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.message.startswith("background.died program=Program task=guardian reason=")
    assert record.exc_info is not None


async def test_control_unwatched_thread_dies_unseen() -> None:
    """Control: a program whose thread is started beside it runs on without the thread."""
    dead = threading.Event()

    def die(_: Lifecycle) -> None:
        thread = threading.Thread(target=dead.set)
        thread.start()
        thread.join()

    lifecycle, running = run_in_background(die)
    await until(dead.is_set)
    assert not running.done()
    assert lifecycle.problem == ""
    running.cancel()
    await lifecycle.stopping.wait()
    running.cancel()
    await asyncio.wait([running])


async def test_what_may_end_is_not_missed() -> None:
    """A background task that may end, and a task that ends after the program was stopped, are no deaths."""
    lifecycle = Lifecycle("Program")

    async def loop() -> None:
        await asyncio.wait([lifecycle.start(end(), name="once", once=True)])
        assert not lifecycle.stopping.is_set()
        lifecycle.stop()
        await asyncio.wait([lifecycle.start(end(), name="guardian")])

    await lifecycle.run(loop)
    assert lifecycle.problem == ""


def test_end_of_the_event_loop_is_no_death(caplog: pytest.LogCaptureFixture) -> None:
    """`asyncio.run` cancels every task when its main function ends, which is reported for none."""

    async def main() -> None:
        _, running = run_in_background(lambda lifecycle: lifecycle.start(asyncio.sleep(60), name="guardian"))
        await asyncio.sleep(0.01)
        assert not running.done()

    asyncio.run(main())
    assert caplog.text == ""
