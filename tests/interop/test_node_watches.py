"""What Node.js observes of our worker: events, states, counts and results."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from interop.node_process import NodeProgram
from interop.shared_queue import JOB, SharedQueue
from support.consuming import OptimizationEvaluated, evaluated, message, running, until

from domainstream.queue import JobSettings
from domainstream.worker import EventContext, GiveUp, RetryLater
from domainstream.worker.settings import WorkerSettings


async def nothing(event: OptimizationEvaluated, context: EventContext) -> None:
    """Handle an event by doing nothing."""


async def give_up(event: OptimizationEvaluated, context: EventContext) -> None:
    """Handle an event by giving up."""
    raise GiveUp("no such stay")


class RetryOnce:
    """A handler that asks once to be retried."""

    def __init__(self) -> None:
        self._asked = False

    async def handle(self, event: OptimizationEvaluated, context: EventContext) -> None:
        """Ask for a retry the first time, then do nothing."""
        if not self._asked:
            self._asked = True
            raise RetryLater(delay=0.05)


async def seen(events: NodeProgram, count: int, fields: Sequence[str]) -> list[tuple[Any, ...]]:
    """Return these fields of the next events that Node.js reports; None where an event has none."""
    return [tuple(line.get(field) for field in fields) for line in await events.lines(count)]


async def test_node_sees_a_job_completed(queue: SharedQueue) -> None:
    """QueueEvents reports the start and the end of a job, with its id and the return value."""
    await queue.add(queue.job("event-1"))
    async with queue.node("events.mjs") as events, running(queue.worker(nothing)):
        assert await seen(events, 2, ["event", "jobId", "prev", "returnvalue"]) == [
            ("active", "event-1", "waiting", None),
            ("completed", "event-1", "active", None),
        ]


async def test_node_sees_a_job_fail(queue: SharedQueue) -> None:
    """QueueEvents reports why a job failed."""
    await queue.add(queue.job("event-1"))
    async with queue.node("events.mjs") as events, running(queue.worker(give_up)):
        assert await seen(events, 2, ["event", "jobId", "prev", "failedReason"]) == [
            ("active", "event-1", "waiting", None),
            ("failed", "event-1", "active", "no such stay"),
        ]


async def test_node_sees_a_job_delayed(queue: SharedQueue) -> None:
    """QueueEvents reports that a handler asked for a retry, until when the job is delayed, and that it ran again."""
    await queue.add(queue.job("event-1"))
    async with queue.node("events.mjs") as events, running(queue.worker(RetryOnce().handle)):
        lines = await events.lines(4)
    assert [line["event"] for line in lines] == ["active", "delayed", "active", "completed"]
    assert {line["jobId"] for line in lines} == {"event-1"}
    processed_on = int((await queue.jobs.fields("event-1"))["processedOn"])
    assert int(lines[1]["delay"]) <= processed_on < int(lines[1]["delay"]) + 5_000


async def test_node_sees_the_progress_of_a_job(queue: SharedQueue) -> None:
    """QueueEvents reports the progress of a handler, and the job keeps the latest value."""

    async def handle(event: OptimizationEvaluated, context: EventContext) -> None:
        await context.report_progress({"step": 1})
        await context.report_progress(50)

    await queue.add(queue.job("event-1"))
    async with queue.node("events.mjs") as events, running(queue.worker(handle)):
        lines = await events.lines(4)
    assert [(line["event"], line.get("data")) for line in lines] == [
        ("active", None),
        ("progress", {"step": 1}),
        ("progress", 50),
        ("completed", None),
    ]
    assert (await queue.jobs.fields("event-1"))["progress"] == b"50"


async def test_node_waits_for_a_job_of_our_worker(queue: SharedQueue) -> None:
    """`job.waitUntilFinished` returns once our worker has handled the job."""
    going_on = asyncio.Event()

    async def handle(event: OptimizationEvaluated, context: EventContext) -> None:
        await going_on.wait()

    async with queue.node("queue.mjs") as node, running(queue.worker(handle)):
        job_id = await node.answer("add", JOB, json.loads(message(evaluated())))
        await until(lambda: queue.jobs.ids("active"))
        waiting = asyncio.create_task(node.ask("wait", job_id))
        going_on.set()
        assert await waiting == {"answer": None}
        assert await node.answer("state", job_id) == "completed"


async def test_node_learns_why_the_job_it_waits_for_failed(queue: SharedQueue) -> None:
    """`job.waitUntilFinished` raises the reason that our worker reported."""
    async with queue.node("queue.mjs") as node, running(queue.worker(give_up)):
        job_id = await node.answer("add", JOB, json.loads(message(evaluated())))
        assert await node.ask("wait", job_id) == {"error": "no such stay"}
        assert await node.answer("state", job_id) == "failed"


async def test_node_counts_our_workers_jobs(queue: SharedQueue) -> None:
    """`queue.getJobCounts` and `job.getState` distinguish active, completed, failed, delayed and waiting jobs."""
    going_on = asyncio.Event()

    async def handle(event: OptimizationEvaluated, context: EventContext) -> None:
        if context.job_id == "event-fails":
            raise GiveUp("no such stay")
        if context.job_id == "event-later":
            raise RetryLater(delay=60)
        if context.job_id == "event-long":
            await going_on.wait()

    names = ("event-fails", "event-later", "event-short", "event-long", "event-waits")
    await queue.add(*(queue.job(name, JobSettings(keep_completed_count=5)) for name in names))
    async with queue.node("queue.mjs") as node, running(queue.worker(handle, concurrency=1)):
        await until(lambda: queue.jobs.ids("completed"))
        await until(lambda: queue.jobs.ids("active"))
        states = [await node.answer("state", name) for name in names]
        counts = await node.answer("counts")
        going_on.set()
        await until(lambda: queue.jobs.fields("event-waits"))
    assert states == ["failed", "delayed", "completed", "active", "waiting"]
    assert {state: number for state, number in counts.items() if number} == dict.fromkeys(states, 1)


async def test_node_gets_the_metrics_of_our_worker(queue: SharedQueue) -> None:
    """`queue.getMetrics` counts the jobs that our worker completed, and those that failed permanently."""

    async def handle(event: OptimizationEvaluated, context: EventContext) -> None:
        if context.job_id == "event-fails":
            raise GiveUp("no such stay")

    await queue.add(*map(queue.job, ("event-fails", "event-1", "event-2")))
    async with (
        queue.node("queue.mjs") as node,
        running(queue.worker(handle, settings=WorkerSettings(metrics=10))),
    ):
        await until(lambda: all_ended(queue))
        completed, failed = [await node.answer("metrics", kind) for kind in ("completed", "failed")]
    assert completed["meta"]["count"] == 2
    assert failed["meta"]["count"] == 1


async def all_ended(queue: SharedQueue) -> bool:
    """Return whether two jobs are completed and one has failed."""
    return (len(await queue.jobs.ids("completed")), len(await queue.jobs.ids("failed"))) == (2, 1)
