"""`domainstream queues`, `replay` and `trace`: what BullMQ stores, and what is added to it again."""

import json
from typing import Any

import pytest
from click.testing import Result
from integration.cli.conftest import Type
from redis.asyncio import Redis
from support.consuming import (
    CALCULATED,
    EVALUATED,
    BullJobs,
    CalculatedPayload,
    OptimizationEvaluated,
    PricingCalculated,
    Streams,
    calculated,
    evaluated,
    message,
    running,
)
from support.working import Valuation, job_of, jobs_of

from domainstream.queue import job_id
from domainstream.tools.timeline import TimelineEntry, in_order
from domainstream.worker import EventContext, GiveUp


@pytest.fixture
def bull(stream_prefix: str) -> str:
    """What begins every key of BullMQ in this test."""
    return f"{stream_prefix}bull"


@pytest.fixture
def valuation(redis_url: str, redis: Redis, bull: str) -> Valuation:
    """The queue `valuation` of this test."""
    return Valuation(redis_url, bull, BullJobs(redis, bull, "valuation"))


def records(result: Result, exit_code: int = 0) -> list[dict[str, Any]]:
    """Return the objects that a command wrote."""
    assert result.exit_code == exit_code, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


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


REPLAY = ("--since", "1h", "--to", "valuation", "--job", "price-stay", "--json")


async def test_events_are_replayed_once(typed: Type, streams: Streams, valuation: Valuation, bull: str) -> None:
    """A dry run only reports, a replay adds the missing jobs, and a second replay adds nothing."""
    events = [evaluated() for _ in range(3)]
    for event in events:
        await streams.add(event)
    words = ["replay", EVALUATED, *REPLAY, "--bull-prefix", bull]
    (dry,) = records(await typed(*words, "--dry-run"))
    assert dry["dry_run"] is True
    assert dry["added"] == 3
    assert await valuation.jobs.ids() == []
    (first,), (second,) = records(await typed(*words, "--yes")), records(await typed(*words, "--yes"))
    assert first["added"] == 3
    assert first["known"] == 0
    assert second["added"] == 0
    assert second["known"] == 3
    assert first["dry_run"] is False
    assert second["dry_run"] is False
    assert await valuation.jobs.ids() == [job_id(event.id) for event in events]


async def test_replayed_job_is_what_a_subscriber_adds(
    typed: Type, streams: Streams, valuation: Valuation, bull: str
) -> None:
    """A replayed job has the name and data that a subscriber gives it: the event, its origin and its correlation id."""
    event = evaluated()
    entry_id = await streams.add(event)
    await typed("replay", EVALUATED, *REPLAY, "--yes", "--bull-prefix", bull)
    fields = await valuation.jobs.fields(job_id(event.id))
    data = json.loads(fields["data"])
    assert fields["name"] == b"price-stay"
    assert data["id"] == event.id
    assert data["correlationId"] == event.id
    assert data["_redisEvent"]["id"] == entry_id


@pytest.mark.parametrize("known", ["", "price-stay"])
async def test_events_are_handled_again_when_asked(
    typed: Type, streams: Streams, valuation: Valuation, bull: str, known: str
) -> None:
    """Events that the queue has a job for, under either id that a subscriber gives, are skipped without `--again`."""
    event = evaluated()
    await streams.add(event)
    words = ["replay", EVALUATED, *REPLAY, "--yes", "--bull-prefix", bull]
    await typed(*words)
    await valuation.jobs.redis.rename(
        f"{bull}:valuation:{job_id(event.id)}", f"{bull}:valuation:{job_id(event.id, job=known)}"
    )
    assert records(await typed(*words))[0]["added"] == 0
    assert records(await typed(*words, "--again"))[0]["added"] == 1
    assert len(await valuation.jobs.ids()) == 2


async def test_unreadable_entries_are_skipped(typed: Type, streams: Streams, bull: str) -> None:
    """Invalid entries, entries without data and events of other channels are counted, and the exit code is 5."""
    await streams.add(evaluated())
    await streams.add_data(EVALUATED, data=b"rubbish")
    await streams.add_data(EVALUATED, other=b"field")
    await streams.add_data(EVALUATED, data=message(calculated()))
    (outcome,) = records(await typed("replay", EVALUATED, *REPLAY, "--yes", "--bull-prefix", bull), exit_code=5)
    assert outcome["events"] == 4
    assert outcome["added"] == 1
    assert outcome["unreadable"] == 3


async def test_replay_starts_at_since(typed: Type, streams: Streams, bull: str) -> None:
    """More than one batch is added, and nothing from before `--since`."""
    ids = [await streams.add(evaluated()) for _ in range(600)]
    words = ["replay", EVALUATED, "--since", ids[50], "--to", "valuation", "--job", "price-stay", "--json", "--yes"]
    assert records(await typed(*words, "--bull-prefix", bull))[0]["added"] == 550


async def test_replay_into_a_new_queue_is_pointed_out(
    typed: Type, streams: Streams, valuation: Valuation, bull: str
) -> None:
    """A queue that never had a job is pointed out, and nothing is added without confirmation."""
    await valuation.add(*jobs_of(1))
    await streams.add(evaluated())
    words = ["--since", "1h", "--to", "valuatoin", "--job", "price-stay", "--bull-prefix", bull]
    result = await typed("replay", EVALUATED, *words)
    assert result.exit_code == 2
    assert "never had a job. Did you mean valuation?" in result.stderr
    assert "--yes" in result.stderr


@pytest.mark.parametrize(("queue", "since"), [("a:b", "1h"), ("valuation", "soon")])
async def test_impossible_replay_is_a_usage_error(typed: Type, queue: str, since: str) -> None:
    """Names that BullMQ rejects and invalid times end with 2."""
    result = await typed("replay", EVALUATED, "--since", since, "--to", queue, "--job", "price-stay")
    assert result.exit_code == 2


async def test_timeline_is_in_order(typed: Type, streams: Streams, valuation: Valuation, bull: str) -> None:
    """Two events of a transaction, their jobs and a dead letter are listed once each, in order, and nothing else."""
    first = evaluated()
    payload = CalculatedPayload(price=7)
    followed = PricingCalculated(
        aggregate_id="price-1", payload=payload, correlation_id=first.id, causation_id=first.id
    )
    await streams.add(first)
    await streams.add(evaluated())
    replay = ["replay", EVALUATED, *REPLAY, "--yes", "--bull-prefix", bull]
    assert records(await typed(*replay))[0]["added"] == 2
    async with running(valuation.worker(_nothing)):
        await valuation.ended("completed", 2)
    await streams.add(followed)
    letter: dict[Any, Any] = {"data": message(followed), "error": "InvalidEnvelopeError", "reason": "sequence"}
    await streams.redis.xadd(f"{streams.key(CALCULATED)}:dead", letter)
    steps = records(await typed("trace", first.id, "--json", "--bull-prefix", bull))
    assert [step["what"] for step in steps] == ["published", "added", "started", "completed", "published", "buried"]
    assert {step["event_id"] for step in steps} == {first.id, followed.id}
    assert steps[1]["queue"] == "valuation"
    assert steps[1]["job"] == "price-stay"
    assert steps[4]["causation_id"] == first.id


async def _nothing(event: object, context: EventContext) -> None:
    """Handle a job."""


async def test_timeline_is_found_by_any_of_its_events(typed: Type, streams: Streams, bull: str) -> None:
    """The id of an event leads to its transaction, and a remark names the transaction."""
    first = evaluated(correlation_id='visit "é"')
    second = evaluated(correlation_id='visit "é"', causation_id=first.id)
    await streams.add(first)
    await streams.add(second)
    result = await typed("trace", second.id, "--json", "--bull-prefix", bull)
    assert [step["event_id"] for step in records(result)] == [first.id, second.id]
    assert f'The event {second.id} belongs to visit "é"' in result.stderr


async def test_timeline_shows_no_payload(typed: Type, streams: Streams, bull: str) -> None:
    """The timeline shows only ids, times and places."""
    event = evaluated(aggregate_id="opt-7")
    await streams.add(event)
    result = await typed("trace", event.id, "--bull-prefix", bull)
    assert result.exit_code == 0
    assert ("opt-7" in result.stdout) is True
    assert ("score" in result.stdout) is False


async def test_unknown_transaction_is_not_found(typed: Type, streams: Streams, bull: str) -> None:
    """An id that only occurs in a payload has no timeline, and neither has one before `--since`."""
    event = evaluated()
    await streams.add(event)
    for words in (["opt-1"], [event.id, "--since", "4102444800000"]):
        result = await typed("trace", *words, "--bull-prefix", bull)
        assert result.exit_code == 4
        assert result.stdout == ""


def timeline_entry(what: str, time_ms: int, event_id: str = "one") -> TimelineEntry:
    """Return a timeline entry of an event: of its stream entry, or of its only job."""
    queue = None if what in ("published", "buried") else "valuation"
    return TimelineEntry(time_ms=time_ms, what=what, event_id=event_id, queue=queue, job_id=event_id if queue else None)


def test_no_entry_comes_before_its_cause() -> None:
    """A worker's slow clock does not reverse the timeline, and other events keep their positions."""
    early = [
        timeline_entry("started", 5),
        timeline_entry("completed", 7),
        timeline_entry("added", 11),
        timeline_entry("published", 10),
    ]
    others = [timeline_entry("published", 8, "two"), timeline_entry("published", 12, "three")]
    order = [(entry.event_id, entry.what) for entry in in_order([*early, *others])]
    assert order == [
        ("two", "published"),
        *(("one", what) for what in ("published", "added", "started", "completed")),
        ("three", "published"),
    ]


def test_dead_letter_and_second_entry_keep_their_times() -> None:
    """An event that was dead-lettered and redriven is published twice, and its job follows the first entry."""
    entries = [
        timeline_entry("published", 30),
        timeline_entry("buried", 20),
        timeline_entry("published", 10),
        timeline_entry("added", 15),
    ]
    assert [entry.time_ms for entry in in_order(entries)] == [10, 15, 20, 30]
