"""`settled` waits for Node.js Workers too."""

from interop.shared_queue import SharedQueue
from support.consuming import Streams, evaluated, running

from domainstream.queue import JobSettings
from domainstream.tools.settled import settled


async def test_job_of_a_node_worker_is_waited_for(queue: SharedQueue, streams: Streams, redis_url: str) -> None:
    """A transaction is settled when a Node.js Worker has handled its event, after attempts that failed."""
    event = evaluated()
    settings = JobSettings(attempts=3)
    async with running(queue.subscriber(settings)), queue.node("worker.mjs", failures=1) as worker:
        await streams.add(event)
        found = await settled(event.id, redis_url=redis_url, prefix=streams.prefix, bull_prefix=f"{streams.prefix}bull")
        assert len(await worker.lines(2)) == 2
    assert found.failed == ()
    assert await queue.jobs.ids("completed") == [f"event-{event.id}"]
