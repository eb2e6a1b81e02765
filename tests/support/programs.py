"""The programs of the command line as processes of their own."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Final

from support.consuming import EVALUATED, evaluated, message

from domainstream import Outcome, RedisStreamPublisherClient
from domainstream.producer import OutgoingMessage

TESTS: Final = Path(__file__).parents[1]


async def publish_until_handled(url: str) -> None:
    """Run a subscriber and a worker beside this process, publish an event, and wait until it is handled."""
    environment = {**os.environ, "REDIS_URL": url, "PYTHONPATH": str(TESTS)}
    processes = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "domainstream", "run", role, f"run_targets:{target}", "--health-port", "0"),
            *("--app-dir", str(TESTS / "integration" / "cli"), "--log-format", "json"),
            env=environment,
            stdout=PIPE,
            stderr=PIPE,
        )
        for role, target in (("subscriber", "subscriptions"), ("worker", "consumer"))
    ]
    worker = processes[1]
    assert worker.stdout
    try:
        async with RedisStreamPublisherClient.from_url(url) as client:
            event = evaluated()
            (receipt,) = await client.publish([OutgoingMessage(str(EVALUATED), event.id, message(event))])
        assert receipt.outcome is Outcome.PUBLISHED
        async with asyncio.timeout(60):
            while (line := await worker.stdout.readline()) != b"handled\n":
                assert line
    finally:
        for process in processes:
            process.terminate()
            await process.communicate()
    assert [process.returncode for process in processes] == [0, 0]
