"""The trace of an event on a real server: from the request that published it to its handler."""

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest
from support.consuming import EVALUATED, GROUP, BullJobs, OptimizationEvaluated, Streams, evaluated, running, until
from support.spans import TRACEPARENT, linked, recording, traceparent_of

from domainstream import EventProducer, RedisStreamPublisherClient
from domainstream.event import EventEncoder
from domainstream.queue import BullMQQueue, Job, JobSettings
from domainstream.subscriber import AGGREGATE, RedisBullMQStreamSubscriber, create_multiple_handlers, to_queue
from domainstream.worker import EventConsumer, EventContext, EventWorker, WorkerSettings

CONTEXT = {"traceparent": TRACEPARENT, "tracestate": 'vendor="\\1"'}
KINDS = {
    "standard": JobSettings(),
    "delayed": JobSettings(delay=timedelta(minutes=5)),
    "prioritized": JobSettings(priority=3),
}
STATES = {"standard": "wait", "delayed": "delayed", "prioritized": "prioritized"}


def subscriber(redis_url: str, streams: Streams, bull_prefix: str, *handlers: Any) -> RedisBullMQStreamSubscriber:
    """Return a subscriber with these handlers for the evaluated channel."""
    listed: Any = {channel: [] for channel in type(EVALUATED)}
    listed[EVALUATED] = list(handlers) or [to_queue("valuation", job="price-stay")]
    return RedisBullMQStreamSubscriber.from_url(
        redis_url,
        group=GROUP,
        subscriptions=create_multiple_handlers(listed),
        prefix=streams.prefix,
        bull_prefix=bull_prefix,
    )


async def add(streams: Streams, event: OptimizationEvaluated, context: dict[str, str] | None) -> str:
    """Put an event with a context into its stream, and return the id of its job."""
    await streams.add_data(EVALUATED, data=EventEncoder("coding").encode(event, context))
    return f"event-{event.id}"


async def options(jobs: BullJobs, job_id: str) -> Any:
    """Return the options of a job."""
    return json.loads((await jobs.fields(job_id))["opts"])


@pytest.mark.parametrize("kind", KINDS)
async def test_each_kind_of_job_has_the_context_of_its_event(
    redis_url: str, streams: Streams, bull_prefix: str, valuation: BullJobs, kind: str
) -> None:
    """Of events that are added in one call, each job has its own, and those of events without one have none."""
    events = [evaluated() for _ in range(3)]
    ids = [await add(streams, event, context) for event, context in zip(events, (CONTEXT, None, CONTEXT), strict=True)]
    handler = to_queue("valuation", job="price-stay", settings=KINDS[kind])
    async with running(subscriber(redis_url, streams, bull_prefix, handler)):
        await until(lambda: _all_there(valuation, STATES[kind], 3))

    found = [(await options(valuation, job_id)).get("tm") for job_id in ids]
    assert [json.loads(text) if text else None for text in found] == [CONTEXT, None, CONTEXT]


async def _all_there(jobs: BullJobs, state: str, count: int) -> bool:
    return len(await jobs.ids(state)) == count


async def test_all_jobs_of_an_event_have_its_context(
    redis_url: str, streams: Streams, bull_prefix: str, valuation: BullJobs
) -> None:
    """An event that becomes jobs of several queues is continued in each of them."""
    job_id = await add(streams, evaluated(), CONTEXT)
    billing = BullJobs(streams.redis, bull_prefix, "billing")
    handlers = [to_queue(queue, job="price-stay") for queue in ("valuation", "billing")]
    async with running(subscriber(redis_url, streams, bull_prefix, *handlers)):
        await until(billing.ids)
        await until(valuation.ids)

    assert [json.loads((await options(jobs, job_id))["tm"]) for jobs in (valuation, billing)] == [CONTEXT, CONTEXT]


async def test_jobs_in_order_have_the_context_of_their_events(
    redis_url: str, streams: Streams, bull_prefix: str, valuation: BullJobs
) -> None:
    """A job that waits for the one before it has its own event's context."""
    contexts = [{"traceparent": TRACEPARENT[:-4] + f"{number}-01"} for number in range(2)]
    ids = [await add(streams, evaluated(), context) for context in contexts]
    handler = to_queue("valuation", job="price-stay", order_by=AGGREGATE)
    async with running(subscriber(redis_url, streams, bull_prefix, handler)):
        await until(lambda: valuation.ids("waiting-children"))

    assert [json.loads((await options(valuation, job_id))["tm"]) for job_id in ids] == contexts


async def test_options_without_a_context_are_what_they_were(
    redis_url: str, streams: Streams, bull_prefix: str, valuation: BullJobs
) -> None:
    """Without tracing nothing is added to a job."""
    job_id = await add(streams, evaluated(), None)
    async with running(subscriber(redis_url, streams, bull_prefix)):
        await until(valuation.ids)

    assert "tm" not in await options(valuation, job_id)


async def test_single_jobs_carry_it_as_well(redis_url: str, bull_prefix: str, valuation: BullJobs) -> None:
    """A job that is added by itself, as by `replay`, has the context that it is given."""
    queue = BullMQQueue.from_url(redis_url, bull_prefix=bull_prefix)
    await queue.add([Job("valuation", "price-stay", "event-1", b"{}", trace=json.dumps(CONTEXT))])
    await queue.close()

    assert json.loads((await options(valuation, "event-1"))["tm"]) == CONTEXT


@pytest.mark.parametrize("mode", ["link", "parent"])
async def test_request_s_trace_reaches_the_handler(
    redis_url: str, streams: Streams, bull_prefix: str, mode: Any
) -> None:
    """One trace from the request to the handler, or a link from the handler's to it; the message is not changed."""
    handled: asyncio.Future[EventContext] = asyncio.get_running_loop().create_future()
    consumer = EventConsumer("valuation")

    @consumer.on(OptimizationEvaluated)
    async def price_stay(event: OptimizationEvaluated, context: EventContext) -> None:
        handled.set_result(context)

    worker = EventWorker.from_url(redis_url, consumer, bull_prefix=bull_prefix, settings=WorkerSettings(trace=mode))
    with recording() as recorded:
        async with RedisStreamPublisherClient.from_url(redis_url, prefix=streams.prefix) as client:
            producer = EventProducer[Any](client, channel_for=lambda _: EVALUATED, source="coding")
            with recorded.app.start_as_current_span("request"):
                await producer.publish(evaluated())
        async with running(subscriber(redis_url, streams, bull_prefix)), running(worker), asyncio.timeout(30):
            context = await handled
            await until(lambda: recorded.all("process"))

    sent, forwarded, processed = (recorded.only(operation) for operation in ("send", "forward", "process"))
    assert context.traceparent == traceparent_of(sent)
    assert linked(forwarded) == [traceparent_of(sent)]
    if mode == "parent":
        assert processed.parent is not None
        assert traceparent_of(processed.parent) == traceparent_of(sent)
    else:
        assert linked(processed) == [traceparent_of(sent)]
    assert all((span.attributes or {})["server.port"] for span in (forwarded, processed))
