"""One trace from Python to Node.js and back: what npm's `bullmq-otel` reads and writes, we write and read."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from interop.shared_queue import JOB, SharedQueue
from support.consuming import EVALUATED, OptimizationEvaluated, Streams, evaluated, message, running, until
from support.spans import Recording, context_of, linked, recording, traceparent_of

from domainstream import EventProducer, RedisStreamPublisherClient
from domainstream.queue import JobSettings
from domainstream.worker import EventContext, WorkerSettings


@pytest.fixture
def recorded() -> Iterator[Recording]:
    """Everything that our side reports in this test."""
    with recording() as recorded:
        yield recorded


async def publish(redis_url: str, streams: Streams, event: OptimizationEvaluated) -> None:
    """Publish an event as a service does."""
    async with RedisStreamPublisherClient.from_url(redis_url, prefix=streams.prefix) as client:
        await EventProducer[Any](client, channel_for=lambda _: EVALUATED, source="coding").publish(event)


async def metadata(queue: SharedQueue, job_id: str) -> str:
    """Return the text that BullMQ's telemetry reads from a job's options."""
    text: str = json.loads((await queue.jobs.fields(job_id))["opts"])["tm"]
    return text


def ids(node: Any) -> tuple[str, str]:
    """Return the ids of the trace and of the parent that a Node.js program has reported."""
    return node["traceId"], node["parentSpanId"]


async def test_node_continues_the_trace_of_the_request_that_published(
    redis_url: str, queue: SharedQueue, streams: Streams, recorded: Recording
) -> None:
    """The processor's span is a child of the span that sent the event, with no code of ours in Node.js."""
    with recorded.app.start_as_current_span("request") as request:
        await publish(redis_url, streams, evaluated())
    async with running(queue.subscriber()), queue.node("traced_worker.mjs") as worker:
        reported = await worker.line()

    sent = context_of(recorded.only("send"))
    assert sent.trace_id == request.get_span_context().trace_id
    assert ids(reported) == (f"{sent.trace_id:032x}", f"{sent.span_id:016x}")


async def test_node_s_retries_stay_in_the_trace(
    redis_url: str, queue: SharedQueue, streams: Streams, recorded: Recording
) -> None:
    """Each attempt in Node.js is a child of the span that sent the event."""
    await publish(redis_url, streams, evaluated())
    settings = JobSettings(attempts=2, jitter=0)
    async with running(queue.subscriber(settings)), queue.node("traced_worker.mjs", failures=1) as worker:
        first, second = await worker.lines(2)

    sent = context_of(recorded.only("send"))
    assert {ids(first), ids(second)} == {(f"{sent.trace_id:032x}", f"{sent.span_id:016x}")}
    assert first["spanId"] != second["spanId"]


async def test_node_begins_a_trace_for_an_event_without_one(queue: SharedQueue, streams: Streams) -> None:
    """An event that was published without tracing is handled as ever."""
    await streams.add(evaluated())
    async with running(queue.subscriber()), queue.node("traced_worker.mjs") as worker:
        reported = await worker.line()

    assert len(reported["traceId"]) == 32
    assert "parentSpanId" not in reported


async def test_options_are_those_that_node_writes(
    redis_url: str, queue: SharedQueue, streams: Streams, recorded: Recording
) -> None:
    """`tm` of a job is a text with the same JSON object as `bullmq-otel` writes."""
    event = evaluated()
    await publish(redis_url, streams, event)
    async with running(queue.subscriber()):
        await until(queue.jobs.ids)
    ours = await metadata(queue, f"event-{event.id}")
    async with queue.node("traced_queue.mjs") as node:
        theirs = await metadata(queue, (await node.answer("add", JOB, json.loads(message(evaluated()))))["id"])

    sent = traceparent_of(recorded.only("send"))
    assert ours == f'{{"traceparent":"{sent}"}}'
    assert list(json.loads(theirs)) == ["traceparent"]
    assert ours.replace(sent, "") == theirs.replace(json.loads(theirs)["traceparent"], "")


@pytest.mark.parametrize("mode", ["link", "parent"])
async def test_our_worker_continues_the_trace_of_a_job_that_node_added(
    queue: SharedQueue, recorded: Recording, mode: Any
) -> None:
    """The attempt refers to the span in which Node.js added the job, or is a part of its trace."""
    handled: asyncio.Future[EventContext] = asyncio.get_running_loop().create_future()

    async def handle(event: OptimizationEvaluated, context: EventContext) -> None:
        handled.set_result(context)

    worker = queue.worker(handle, settings=WorkerSettings(trace=mode))
    async with queue.node("traced_queue.mjs") as node, running(worker), asyncio.timeout(30):
        added = await node.answer("add", JOB, json.loads(message(evaluated())))
        context = await handled
        await until(lambda: recorded.all("process"))

    given = json.loads(await metadata(queue, added["id"]))["traceparent"]
    span = recorded.only("process")
    assert context.traceparent == given
    assert given.split("-")[1] == added["traceId"]
    if mode == "link":
        assert (span.parent, linked(span)) == (None, [given])
    else:
        assert span.parent is not None
        assert traceparent_of(span.parent)[:52] == given[:52]
