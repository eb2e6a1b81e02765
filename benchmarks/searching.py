"""How long `trace` takes to find one aggregate among a million events in a hundred channels."""

import asyncio
import statistics
import time
from typing import Any
from uuid import uuid4

import msgspec
from redis.asyncio import Redis

from benchmarks.many_channels import NAMES
from benchmarks.sample import EVENT_TYPE, make_event
from domainstream import PublisherSettings, RedisStreamPublisherClient, Retention
from domainstream.event import EventEncoder, read_message
from domainstream.producer import OutgoingMessage
from domainstream.queue import BullMQQueue, Job, job_data, job_id
from domainstream.redis.nodes import RedisNodes
from domainstream.stream import Delivery
from domainstream.tools.timeline import Search, timeline_of

CHANNELS = NAMES[:100]
EVENTS = 1_000_000
JOBS = 20_000
BATCH = 500
WANTED, EACH = "stay-of-interest", 5_000
ROUNDS = 15
LIMIT_MS = 100

_ENVELOPE = EventEncoder("coding").encode(make_event(0))
_SUBJECT = b'"opt-000000"'
_ID = msgspec.json.decode(_ENVELOPE)["id"].encode()


def _message(channel: str, number: int) -> OutgoingMessage:
    event_id, subject = str(uuid4()), WANTED if number % EACH == 0 else f"opt-{number}"
    data = _ENVELOPE.replace(EVENT_TYPE.encode(), channel.encode()).replace(_ID, event_id.encode())
    return OutgoingMessage(channel, event_id, data.replace(_SUBJECT, b'"%s"' % subject.encode()), subject)


async def _fill(url: str) -> None:
    """Fill half of the channels with batches, and half with one event at a time."""
    each = EVENTS // len(CHANNELS)
    batched, single = CHANNELS[::2], CHANNELS[1::2]
    settings = PublisherSettings(url=url, retention=Retention(max_age=None))
    async with RedisStreamPublisherClient.from_settings(settings) as client:
        for start in range(0, each, BATCH):
            for channel in batched:
                await client.publish([_message(channel, number) for number in range(start, start + BATCH)])
        for number in range(each):
            await client.publish([_message(channel, number) for channel in single])


async def _add_jobs(url: str) -> None:
    """Add a job for each event of the first channels."""
    queue = BullMQQueue.from_url(url)
    async with Redis.from_url(url) as redis:
        for channel in CHANNELS[: JOBS * len(CHANNELS) // EVENTS]:
            entries: Any = await redis.xrange(channel)
            for start in range(0, len(entries), 250):
                await queue.add([_job(channel, *entry) for entry in entries[start : start + 250]])
    await queue.close()


def _job(channel: str, entry_id: bytes, fields: dict[bytes, bytes]) -> Job:
    message = read_message(fields[b"data"])
    delivery = Delivery(channel, entry_id.decode(), fields[b"data"])
    return Job("valuation", "job", job_id(message.id), job_data(delivery, message))


async def measure(url: str) -> tuple[list[float], int]:
    """Return how many milliseconds each search took, and how many steps were found."""
    async with Redis.from_url(url) as redis:
        await redis.flushall()
    await _fill(url)
    await _add_jobs(url)
    took, steps = [], 0
    async with RedisNodes.open(url) as nodes:
        for _ in range(ROUNDS):
            search = Search(WANTED, limit=100_000, report=lambda _number, _place: None)
            started = time.perf_counter()
            timeline = await timeline_of(nodes, search, since="-", prefix="", bull_prefix="bull")
            took.append((time.perf_counter() - started) * 1000)
            steps = len(timeline)
    async with Redis.from_url(url) as redis:
        await redis.flushall()
    return took, steps


def run(url: str) -> bool:
    """Measure and report."""
    took, steps = asyncio.run(measure(url))
    wanted_steps = EVENTS // EACH + JOBS // EACH
    median = statistics.median(took)
    met = median <= LIMIT_MS and steps == wanted_steps
    print(f"\ntrace of {steps} steps among {EVENTS:,} events in {len(CHANNELS)} channels and {JOBS:,} jobs: ", end="")
    print(f"median {median:.0f} ms, longest {max(took):.0f} ms, wanted {LIMIT_MS} ms  {'met' if met else 'NOT MET'}")
    return met
