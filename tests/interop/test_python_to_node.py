"""Events that go from a stream through our subscriber to a Node.js Worker."""

import json
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

from interop.shared_queue import JOB, SharedQueue
from support.consuming import EVALUATED, Streams, evaluated, message, running, until

from domainstream.queue import JobSettings

WIRE_FORMAT = Path(__file__).parents[2] / "docs" / "wire-format"


async def node_gets(queue: SharedQueue, count: int, settings: JobSettings, **program: Any) -> list[Any]:
    """Forward what is in the streams, and return the next jobs that a Node.js Worker reports."""
    async with running(queue.subscriber(settings)), queue.node("worker.mjs", **program) as worker:
        return await worker.lines(count)


async def test_node_gets_what_was_published(queue: SharedQueue, streams: Streams) -> None:
    """A Node.js Worker gets the event's JSON, its origin, its correlation id, and the job name of the subscription."""
    event = evaluated(correlation_id="stay-7")
    entry_id = await streams.add(event)
    [job] = await node_gets(queue, 1, JobSettings())
    assert job["id"] == f"event-{event.id}"
    assert job["name"] == JOB
    assert job["attemptsMade"] == 0
    assert job["data"] == {
        **json.loads(message(event)),
        "_redisEvent": {"name": EVALUATED.value, "id": entry_id, "timestamp": int(entry_id.partition("-")[0])},
        "correlationId": "stay-7",
    }


async def test_node_gets_every_attribute_and_number_unchanged(queue: SharedQueue, streams: Streams) -> None:
    """The golden event arrives as the golden job: the largest integer, fractions, text in any language."""
    golden_event = (WIRE_FORMAT / "full_event.json").read_bytes().rstrip(b"\n")
    entry_id = await streams.add_data(EVALUATED, data=golden_event)
    [job] = await node_gets(queue, 1, JobSettings())
    golden_job = json.loads((WIRE_FORMAT / "job.json").read_bytes())
    golden_job["_redisEvent"] |= {"id": entry_id, "timestamp": int(entry_id.partition("-")[0])}
    assert job["data"] == golden_job
    assert list(job["data"]) == list(golden_job)


async def test_node_keeps_the_order_of_the_stream(queue: SharedQueue, streams: Streams) -> None:
    """A Worker with a concurrency of one gets the events in the order of their stream."""
    events = [evaluated() for _ in range(20)]
    for event in events:
        await streams.add(event)
    jobs = await node_gets(queue, 20, JobSettings())
    assert [job["data"]["id"] for job in jobs] == [event.id for event in events]


async def test_node_retries_as_the_settings_say(queue: SharedQueue, streams: Streams) -> None:
    """A job whose Node.js processor fails is retried after pauses that double, and then fails."""
    await streams.add(evaluated())
    settings = JobSettings(attempts=3, backoff=timedelta(milliseconds=100), jitter=0)
    attempts = await node_gets(queue, 3, settings, failures=3)
    assert [attempt["attemptsMade"] for attempt in attempts] == [0, 1, 2]
    pauses = [later["at"] - earlier["at"] for earlier, later in pairwise(attempts)]
    assert 99 <= pauses[0] < 2_000
    assert 199 <= pauses[1] < 4_000
    [failed] = await queue.jobs.ids("failed")
    assert (await queue.jobs.fields(failed))["failedReason"] == b"failure 3"


async def test_node_keeps_failed_jobs_too(queue: SharedQueue, streams: Streams) -> None:
    """By default a failed job stays, also where the Node.js Worker is set to remove those without a setting."""
    event = evaluated()
    await streams.add(event)
    await node_gets(queue, 1, JobSettings(attempts=1), failures=1, options={"removeOnFail": {"count": 0}})
    assert await queue.jobs.ids("failed") == [f"event-{event.id}"]


async def test_node_ignores_the_longest_pause(queue: SharedQueue, streams: Streams) -> None:
    """The pauses of a Node.js Worker double without limit: it ignores `max_backoff`."""
    await streams.add(evaluated())
    soon = timedelta(milliseconds=100)
    settings = JobSettings(attempts=4, backoff=soon, max_backoff=soon, jitter=0)
    attempts = await node_gets(queue, 4, settings, failures=4)
    pauses = [later["at"] - earlier["at"] for earlier, later in pairwise(attempts)]
    assert pauses[2] >= 399


async def test_node_keeps_as_many_jobs_as_the_settings_say(queue: SharedQueue, streams: Streams) -> None:
    """A Node.js Worker keeps the newest completed jobs, up to the number in the settings."""
    events = [evaluated() for _ in range(5)]
    for event in events:
        await streams.add(event)
    await node_gets(queue, 5, JobSettings(keep_completed_count=2))
    assert await queue.jobs.ids("completed") == [f"event-{event.id}" for event in events[3:]]
    assert await queue.jobs.fields(f"event-{events[0].id}") == {}


async def test_node_waits_for_the_delay(queue: SharedQueue, streams: Streams) -> None:
    """A Node.js Worker starts a job no sooner than the delay in the settings after it was forwarded."""
    await streams.add(evaluated())
    async with running(queue.subscriber(JobSettings(delay=timedelta(milliseconds=500)))):
        [job_id] = await until(lambda: queue.jobs.ids("delayed"))
        async with queue.node("worker.mjs") as worker:
            await worker.line()
    fields = await queue.jobs.fields(job_id)
    assert 500 <= int(fields["processedOn"]) - int(fields["timestamp"]) < 60_000


async def test_node_takes_the_most_urgent_job_first(queue: SharedQueue) -> None:
    """Jobs without priority start first, then those with the smallest number; equal numbers keep their order."""
    priorities = {"event-a": 3, "event-b": 0, "event-c": 1, "event-d": 3, "event-e": 0}
    await queue.add(*(queue.job(job_id, JobSettings(priority=number)) for job_id, number in priorities.items()))
    async with queue.node("worker.mjs") as worker:
        order = [job["id"] for job in await worker.lines(len(priorities))]
    assert order == ["event-b", "event-e", "event-c", "event-a", "event-d"]
