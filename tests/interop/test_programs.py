"""Whole Node.js programs: their own tests, and the notifications service of the example monorepo."""

import asyncio
import json
import os
import signal
import subprocess
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from interop.node_process import NOTIFICATIONS, PATIENCE, PROGRAMS
from redis.asyncio import Redis
from support.consuming import BullJobs, running, until

from contracts.bull_mq_queues import BullMqQueues
from contracts.subscriptions import subscriptions
from domainstream import EventProducer
from domainstream.bootstrap import open_publisher, open_subscriber
from domainstream.queue import BullMQQueue, Job
from valuation.domain_layer.pricing.pricing import calculated
from valuation.infrastructure_layer.events.valuation_event_producer.valuation_event_producer_mapper import channel_for


@pytest.mark.parametrize("folder", [PROGRAMS, NOTIFICATIONS], ids=lambda folder: str(folder.name))
def test_javascript_tests_pass(folder: Path) -> None:
    """The JavaScript tests of the golden files in docs/wire-format and of the notifications service pass."""
    tests = subprocess.run(["node", "--test"], cwd=folder, capture_output=True, text=True, check=False)
    assert tests.returncode == 0, tests.stdout
    assert "# fail 0" in tests.stdout
    assert "# pass 0" not in tests.stdout


@asynccontextmanager
async def notifications(**variables: str) -> AsyncIterator[Process]:
    """Run the notifications service during the block."""
    environment = {name: value for name, value in os.environ.items() if name != "REDIS_URL"} | variables
    process = await asyncio.create_subprocess_exec(
        "node", "notifications.js", cwd=NOTIFICATIONS, env=environment, stdout=PIPE, stderr=PIPE
    )
    try:
        async with asyncio.timeout(PATIENCE):
            yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_price_that_python_publishes_is_announced(own_database: str) -> None:
    """The notifications service announces a price published in Python; SIGTERM then ends it with exit code 0."""
    event = calculated("stay-1", "F62B", 421_065)
    async with (
        notifications(REDIS_URL=own_database) as service,
        open_publisher(own_database) as publisher,
        open_subscriber(subscriptions, url=own_database) as subscriber,
        running(subscriber),
    ):
        await EventProducer(publisher, channel_for=channel_for, source="valuation").publish(event)
        assert service.stdout is not None
        assert json.loads(await service.stdout.readline()) == {
            "notificationId": event.id,
            "correlationId": event.id,
            "to": "billing-office",
            "subject": "stay-1 is priced",
            "text": "Diagnosis group F62B: 4210.65 EUR",
        }
        service.send_signal(signal.SIGTERM)
        assert await service.wait() == 0


async def test_job_without_a_handler_is_retried(own_database: str) -> None:
    """A job without a handler is retried, since an updated service may have one, and its reason names it."""
    async with Redis.from_url(own_database) as redis, notifications(REDIS_URL=own_database):
        jobs = BullJobs(redis, "bull", BullMqQueues.NOTIFICATIONS)
        await add_unknown_job(own_database)
        await until(lambda: jobs.ids("delayed"))
        fields = await jobs.fields("event-1")
    assert fields["failedReason"] == b"no handler for job unknown-job of event type domain_valuation_pricing_calculated"
    assert fields["atm"] == b"1"


async def add_unknown_job(url: str) -> None:
    """Add a job whose name the service does not know."""
    queue = BullMQQueue.from_url(url)
    data = b'{"type":"domain_valuation_pricing_calculated"}'
    await queue.add([Job(BullMqQueues.NOTIFICATIONS, "unknown-job", "event-1", data)])
    await queue.close()


async def test_missing_url_is_reported_in_one_line() -> None:
    """Without REDIS_URL the service ends with exit code 1 and the fix, as the Python services do."""
    async with notifications() as service:
        _, errors = await service.communicate()
    assert service.returncode == 1
    assert errors == b"no server is configured; run: export REDIS_URL=redis://localhost:6379\n"
