"""`domainstream queues` counts what BullMQ stores."""

from datetime import timedelta

from integration.cli.conftest import Type, records
from redis.asyncio import Redis
from support.consuming import (
    OptimizationEvaluated,
    evaluated,
    running,
)
from support.working import Valuation, job_of, jobs_of

from domainstream.queue import JobSettings
from domainstream.worker import EventContext, GiveUp


async def test_jobs_are_counted_by_state(typed: Type, valuation: Valuation, bull: str) -> None:
    """Waiting, completed and failed jobs are counted in separate columns."""
    good, bad = evaluated(), evaluated()

    async def fail_one(event: OptimizationEvaluated, context: EventContext) -> None:
        if context.event_id == bad.id:
            raise GiveUp("bad")

    await valuation.add(job_of(good, job_id="event-1"), job_of(bad, job_id="event-2"))
    assert records(await typed("queues", "--json", "--bull-prefix", bull))[0]["waiting"] == 2
    async with running(valuation.worker(fail_one)):
        await valuation.ended("failed")
        await valuation.ended("completed")
    (queue,) = records(await typed("queues", "valuation", "--json", "--bull-prefix", bull))
    counts = (queue["waiting"], queue["active"], queue["completed"], queue["failed"], queue["is_paused"])
    assert counts == (0, 0, 1, 1, False)


async def test_paused_queue_is_marked(typed: Type, valuation: Valuation, redis: Redis, bull: str) -> None:
    """The jobs of a paused queue count as waiting, and the queue is marked as paused."""
    await valuation.add(*jobs_of(1))
    await redis.hset(f"{bull}:valuation:meta", "paused", "1")
    line = (await typed("queues", "--bull-prefix", bull)).stdout.splitlines()[1]
    assert line.split()[:3] == ["valuation", "(paused)", "1"]


async def test_unknown_queue_is_not_found(typed: Type, valuation: Valuation, bull: str) -> None:
    """An unknown queue ends with 4 and suggests a similar one, but a server without queues is not an error."""
    nothing = await typed("queues", "--bull-prefix", bull)
    await valuation.add(*jobs_of(1))
    result = await typed("queues", "valuations", "--bull-prefix", bull)
    assert nothing.exit_code == 0
    assert nothing.stdout == ""
    assert result.exit_code == 4
    assert ("Did you mean valuation?" in result.stderr) is True


async def test_failed_and_unhandled_jobs_stand_out(typed: Type, valuation: Valuation, bull: str) -> None:
    """The table shows the age of the first failure, and which delayed jobs wait for a build that handles them."""

    async def give_up(event: OptimizationEvaluated, context: EventContext) -> None:
        raise GiveUp("no such tariff")

    await valuation.add(job_of(evaluated()))
    async with running(valuation.worker(give_up)):
        await valuation.ended("failed")
    await valuation.wait_for("UnknownEventVersionError: version 2", job_id="event-2")
    await valuation.wait_for("ConnectionError: no database", job_id="event-3")
    (queue,) = records(await typed("queues", "--json", "--bull-prefix", bull))
    assert (queue["delayed"], queue["unhandled"], queue["failed"]) == (2, 1, 1)
    assert 0 <= queue["oldest_failed_ms"] < 60_000
    heading = (await typed("queues", "--bull-prefix", bull)).stdout.splitlines()[0]
    assert heading.split() == [
        "queue",
        "waiting",
        "active",
        "delayed",
        "unhandled",
        "completed",
        "failed",
        "oldest",
        "failure",
    ]


async def test_rare_states_have_a_column_when_a_job_is_in_them(typed: Type, valuation: Valuation, bull: str) -> None:
    """Jobs with a priority are counted in a column that is left out otherwise."""
    await valuation.add(job_of(settings=JobSettings(priority=3)))
    heading, row = (await typed("queues", "--bull-prefix", bull)).stdout.splitlines()
    assert "prioritized" in heading
    assert "waiting for children" not in heading
    assert row.split()[5] == "1"


async def test_queue_without_failures_has_no_age(typed: Type, valuation: Valuation, bull: str) -> None:
    """Without a failed job there is no oldest failure."""
    await valuation.add(*jobs_of(1))
    (queue,) = records(await typed("queues", "--json", "--bull-prefix", bull))
    assert queue["oldest_failed_ms"] is None


async def test_unhandled_jobs_are_counted_beyond_a_page(typed: Type, valuation: Valuation, bull: str) -> None:
    """More than a page of delayed jobs is searched."""
    later = JobSettings(delay=timedelta(minutes=5))
    await valuation.add(*jobs_of(600, later))
    async with valuation.jobs.redis.pipeline() as pipe:
        for number in range(600):
            pipe.hset(f"{valuation.jobs.key}:event-{number}", "failedReason", "HandlerNotFoundError: none")
        await pipe.execute()
    assert records(await typed("queues", "--json", "--bull-prefix", bull))[0]["unhandled"] == 600
