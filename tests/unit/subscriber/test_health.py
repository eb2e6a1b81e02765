"""What a subscriber says about itself, and what ends it."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from support.consuming import PATIENCE, until
from support.subscribing import Scene

from domainstream.errors import ServerUnavailableError
from domainstream.health import Health

AWAY = ServerUnavailableError("the server is away")


class BrokenTask:
    """A maintenance task with a bug."""

    every = timedelta(milliseconds=1)

    async def run_once(self) -> None:
        """Fail."""
        raise ZeroDivisionError("a bug")

    async def close(self) -> None:
        """Close nothing."""


async def test_subscriber_is_healthy_while_it_runs() -> None:
    """A subscriber is ready from the start of its run to the end of it."""
    scene = Scene()
    subscriber = scene.instance().subscriber
    away = Health(ok=False, problem="the subscriber does not run")
    assert await subscriber.health() == away
    instance = scene.instance()
    async with scene.running(instance):
        await until(lambda: "new" in instance.calls)
        assert await instance.subscriber.health() == Health(ok=True)
    assert await instance.subscriber.health() == away


@pytest.mark.parametrize("call", ["take", "fence", "claim", "new", "add"])
async def test_failure_makes_it_unhealthy_until_an_attempt_succeeds(call: str) -> None:
    """A subscriber says why it cannot go on, whichever call fails; a snapshot of its stats does not change."""
    scene = Scene()
    scene.add()
    instance = scene.instance()
    instance.fail(call, *[AWAY] * 3)
    before = instance.subscriber.stats
    async with scene.running(instance):

        async def is_unhealthy() -> bool:
            return await instance.subscriber.health() == Health(ok=False, problem="the server is away")

        await until(is_unhealthy)
        await scene.settled()
        await until(lambda: instance.subscriber.stats.failures == 0)
        assert await instance.subscriber.health() == Health(ok=True)
    assert before.last_error == ""
    assert instance.subscriber.stats.last_error == "the server is away"
    assert (instance.subscriber.stats.forwarded, instance.subscriber.stats.jobs) == (1, 1)


@pytest.mark.parametrize(
    ("task", "call", "maintenance"),
    [
        ("maintenance", "", [BrokenTask()]),
        ("hand-over of domain_coding_optimization_evaluated", "add", []),
        ("hand-over of domain_coding_optimization_evaluated", "new", []),
    ],
)
async def test_bug_in_the_background_ends_the_run(
    task: str, call: str, maintenance: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    """A task that fails with anything but a server error ends the subscriber, which says so before."""
    scene = Scene()
    scene.add()
    instance = scene.instance(maintenance=maintenance)
    instance.fail(call, ZeroDivisionError("a bug"), ZeroDivisionError("a bug"))
    run = asyncio.create_task(instance.subscriber.run())
    async with asyncio.timeout(PATIENCE):
        await instance.subscriber._lifecycle.stopping.wait()
        problem = f"the {task} has died: ZeroDivisionError: a bug"
        if call != "new":  # which the other channel dies of at the same time
            assert await instance.subscriber.health() == Health(ok=False, problem=problem)
        with pytest.raises(ZeroDivisionError):
            await run
    assert f"background.died program=StreamSubscriber task={task} reason=ZeroDivisionError: a bug" in caplog.text
