"""Workers of both languages share one queue."""

import asyncio
from collections import Counter

from interop.node_process import NodeProgram
from interop.shared_queue import SharedQueue
from support.consuming import OptimizationEvaluated, running, until

from domainstream.worker import EventContext

JOBS = 400


async def test_each_job_is_handled_once_by_one_of_the_workers(queue: SharedQueue) -> None:
    """When workers of both languages share many jobs, none is lost, none is handled twice, and both get some."""
    first, *others = (f"event-{number}" for number in range(JOBS))
    ours: list[str] = []
    theirs: list[str] = []
    node_has_started = asyncio.Event()

    async def handle(event: OptimizationEvaluated, context: EventContext) -> None:
        # Only the first job is handled before Node has one too: neither worker can finish before the other starts.
        if context.job_id != first:
            await node_has_started.wait()
        ours.append(context.job_id)

    async with running(queue.worker(handle, concurrency=5)):
        await queue.add(queue.job(first))
        await until(lambda: ours)
        async with queue.node("worker.mjs", concurrency=5) as worker:
            await queue.add(*map(queue.job, others))
            reading = asyncio.create_task(read_ids(worker, theirs, node_has_started))
            await until(lambda: len(ours) + len(theirs) >= JOBS)
            reading.cancel()
    assert Counter(ours + theirs) == Counter([first, *others])
    assert theirs
    assert sorted(await queue.jobs.ids("completed")) == sorted([first, *others])
    # BullMQ counts how often a job was started, by any worker.
    assert {(await queue.jobs.fields(name))["ats"] for name in [first, *others]} == {b"1"}


async def read_ids(worker: NodeProgram, ids: list[str], started: asyncio.Event) -> None:
    """Add the ids of the jobs that a Node worker reports, as they arrive."""
    while True:
        job = await worker.line()
        ids.append(job["id"])
        started.set()
