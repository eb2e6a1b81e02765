"""What a worker or a subscriber rejects, and what it logs when the server rejects it."""

import asyncio
from typing import Any

import pytest
from support.consuming import GROUP, running, subscriptions_of, until

from domainstream.errors import ConfigurationError
from domainstream.subscriber import RedisBullMQStreamSubscriber
from domainstream.worker import EventConsumer, EventWorker


@pytest.fixture
def worker(redis_url: str, bull_prefix: str) -> EventWorker:
    """A worker without handlers."""
    return EventWorker.from_url(redis_url, EventConsumer("valuation"), bull_prefix=bull_prefix)


async def test_second_run_is_rejected_while_the_first_goes_on(worker: EventWorker) -> None:
    """A worker that runs cannot be run again, and the attempt does not disturb it."""
    async with running(worker) as first:
        await asyncio.sleep(0)
        with pytest.raises(ConfigurationError, match=r"already running, or closed; create a new one with EventWorker"):
            await worker.run()
        assert not first.done()


async def test_run_after_close_is_rejected(worker: EventWorker) -> None:
    """Running a closed worker is an error, instead of returning as if there were nothing to do."""
    await worker.close()
    with pytest.raises(ConfigurationError, match="already running, or closed; create a new one"):
        await worker.run()


def worker_of(url: str) -> EventWorker:
    """Open a worker at a URL."""
    return EventWorker.from_url(url, EventConsumer("valuation"))


def subscriber_of(url: str) -> RedisBullMQStreamSubscriber:
    """Open a subscriber at a URL."""
    return RedisBullMQStreamSubscriber.from_url(url, group=GROUP, subscriptions=subscriptions_of("valuation"))


@pytest.mark.parametrize("open_at", [worker_of, subscriber_of])
async def test_rejected_password_is_logged_as_such(
    open_at: Any, redis_url: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a wrong password, the log names the server that rejected it, and says to correct the URL."""
    monkeypatch.setattr("domainstream.worker.bullmq.engine.SHUTDOWN_TIMEOUT", 0.1)
    place = redis_url.removeprefix("redis://")
    refused = f"the server at {place} rejected the user or the password; correct the URL"
    async with running(open_at(f"redis://nobody:s3cret@{place}")):
        await until(lambda: refused in caplog.text)
    assert "s3cret" not in caplog.text
