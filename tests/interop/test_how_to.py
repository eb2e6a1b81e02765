"""The programs shown in docs/how-to/use-with-node.md and trace.md, run exactly as they are shown."""

import asyncio
import json
import os
import re
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from interop.node_process import PATIENCE, PROGRAMS
from redis.asyncio import Redis
from support.consuming import (
    CALCULATED,
    EVALUATED,
    BullJobs,
    OptimizationEvaluated,
    Streams,
    delivery,
    evaluated,
    running,
    subscriptions_of,
    until,
)
from support.spans import TRACE_ID, TRACEPARENT

from domainstream.bootstrap import open_subscriber
from domainstream.channel.partitions import partition_of
from domainstream.event import read_message
from domainstream.queue import BullMQQueue, Job, job_data
from domainstream.subscriber import create_multiple_handlers, to_queue
from domainstream.worker import EventConsumer, EventContext, EventWorker

PAGES: Final = Path(__file__).parents[2] / "docs" / "how-to"
HOW_TO: Final = PAGES / "use-with-node.md"
TRACE: Final = PAGES / "trace.md"
ANNOUNCE: Final = "const announce = (data, correlationId) => console.log(JSON.stringify({ data, correlationId }));\n"
HANDLE: Final = "const handle = async (job) => console.log(JSON.stringify([job.queueName, job.data.id]));\n"
TRACED: Final = """
import { trace } from "@opentelemetry/api";
import { NodeTracerProvider } from "@opentelemetry/sdk-trace-node";
import { Worker } from "bullmq";

new NodeTracerProvider().register();
const handle = async () => console.log(JSON.stringify(trace.getActiveSpan().spanContext().traceId));
"""
"""What `@opentelemetry/auto-instrumentations-node/register` does, as far as it matters, and a handler."""


def programs_of(page: Path) -> list[str]:
    """Return the JavaScript programs of a page."""
    return re.findall(r"^ *```js\n(.*?)^ *```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def shown(number: int) -> str:
    """Return one of the page's JavaScript programs."""
    programs = programs_of(HOW_TO)
    assert len(programs) == 4
    return programs[number]


@asynccontextmanager
async def javascript(text: str, url: str, **environment: str) -> AsyncIterator[Process]:
    """Run a JavaScript program during the block, with the packages of `tests/interop/node`."""
    process = await asyncio.create_subprocess_exec(
        *("node", "--input-type=module", "--eval", text),
        cwd=PROGRAMS,
        env={**os.environ, "REDIS_URL": url, **environment},
        stdout=PIPE,
        stderr=PIPE,
    )
    try:
        async with asyncio.timeout(PATIENCE):
            yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_worker_of_the_page_gets_events(own_database: str) -> None:
    """The worker shown on the page calls its handler with the payload and the correlation id."""
    delivered = delivery(evaluated(correlation_id="stay-7"))
    data = job_data(delivered, read_message(delivered.data or b""))
    queue = BullMQQueue.from_url(own_database)
    await queue.add([Job("notifications", "announce-price", "event-1", data)])
    await queue.close()
    async with javascript(ANNOUNCE + shown(0), own_database) as worker:
        assert worker.stdout is not None
        assert json.loads(await worker.stdout.readline()) == {"data": {"score": 0.5}, "correlationId": "stay-7"}


async def test_traced_worker_of_the_page_continues_the_trace(own_database: str) -> None:
    """With the line that the page on tracing shows, the handler runs in the trace of its event."""
    (program,) = programs_of(TRACE)
    queue = BullMQQueue.from_url(own_database)
    await queue.add(
        [Job("notifications", "announce-price", "event-1", b"{}", trace=f'{{"traceparent":"{TRACEPARENT}"}}')]
    )
    await queue.close()
    async with javascript(TRACED + program, own_database) as worker:
        assert worker.stdout is not None
        assert json.loads(await worker.stdout.readline()) == f"{TRACE_ID:032x}"


async def test_job_of_the_page_is_handled(own_database: str) -> None:
    """A job added by the program shown on the page reaches a typed handler in Python."""
    handled: asyncio.Future[tuple[OptimizationEvaluated, EventContext]] = asyncio.get_running_loop().create_future()
    consumer = EventConsumer("valuation")

    @consumer.on(OptimizationEvaluated)
    async def price_stay(event: OptimizationEvaluated, context: EventContext) -> None:
        handled.set_result((event, context))

    async with running(EventWorker.from_url(own_database, consumer)), javascript(shown(1), own_database) as program:
        event, context = await handled
        _, errors = await program.communicate()
    assert program.returncode == 0
    assert errors == b""
    assert event.aggregate_id == "opt-1"
    assert event.payload.score == 0.875
    assert context.job_id == f"event-{event.id}"
    assert context.job_name == "price-stay"


async def test_workers_of_the_page_share_partitions(own_database: str) -> None:
    """Two processes with the workers shown on the page get the events of their partitions, each in its order."""
    events = [evaluated(aggregate_id=f"opt-{number % 10}") for number in range(40)]
    subscriptions = create_multiple_handlers(
        {EVALUATED: [to_queue("notifications", job="announce-price", partitions=4)], CALCULATED: []}
    )
    async with (
        javascript(HANDLE + shown(2), own_database, PARTITIONS="0,1") as one,
        javascript(HANDLE + shown(2), own_database, PARTITIONS="2,3") as two,
        Redis.from_url(own_database) as redis,
    ):
        for event in events:
            await Streams(redis, "").add(event)
        async with open_subscriber(subscriptions, url=own_database) as subscriber, running(subscriber):
            of_queue = [[event.id for event in events if partition_of(event.aggregate_id, 4) == n] for n in range(4)]
            assert await said(one, len(of_queue[0]) + len(of_queue[1])) == of_queue[:2]
            assert await said(two, len(of_queue[2]) + len(of_queue[3])) == of_queue[2:]


async def said(worker: Process, count: int) -> list[list[str]]:
    """Return the ids that a process with two workers says it gets, by the worker's queue."""
    assert worker.stdout is not None
    lines = [json.loads(await worker.stdout.readline()) for _ in range(count)]
    return [[event_id for queue, event_id in lines if queue == name] for name in sorted({queue for queue, _ in lines})]


async def test_event_that_the_page_publishes_is_handled(own_database: str) -> None:
    """An event that the program shown on the page adds to a stream reaches a typed handler by way of a subscriber."""
    handled: asyncio.Future[tuple[OptimizationEvaluated, EventContext]] = asyncio.get_running_loop().create_future()
    consumer = EventConsumer("valuation")

    @consumer.on(OptimizationEvaluated)
    async def price_stay(event: OptimizationEvaluated, context: EventContext) -> None:
        handled.set_result((event, context))

    async with (
        open_subscriber(subscriptions_of("valuation"), url=own_database) as subscriber,
        running(subscriber),
        running(EventWorker.from_url(own_database, consumer)),
        javascript(shown(3), own_database) as program,
    ):
        event, context = await handled
        _, errors = await program.communicate()
    assert program.returncode == 0
    assert errors == b""
    assert (event.aggregate_id, event.payload.score) == ("opt-1", 0.875)
    assert context.job_id == f"event-{event.id}"
    assert context.entry_id


async def test_repeated_entry_of_the_page_adds_no_second_job(own_database: str) -> None:
    """A second XADD of an event with the same id adds no job, and an entry that is not an event is a dead letter."""
    async with Redis.from_url(own_database) as redis, javascript(shown(3), own_database) as program:
        await program.communicate()
        entries: Any = await redis.xrange(EVALUATED)
        ((_, fields),) = entries
        streams, jobs = Streams(redis, ""), BullJobs(redis, "bull", "valuation")
        await redis.xadd(EVALUATED, fields)
        await redis.xadd(EVALUATED, {"data": b"[]"})
        async with open_subscriber(subscriptions_of("valuation"), url=own_database) as subscriber, running(subscriber):
            await until(lambda: streams.dead(EVALUATED))
        assert await jobs.ids() == [f"event-{read_message(fields[b'data']).id}"]
