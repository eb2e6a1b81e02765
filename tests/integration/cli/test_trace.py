"""`domainstream trace` prints what happened to an event, a transaction or an aggregate, and why a job failed."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from integration.cli.conftest import Type, records
from support.consuming import (
    CALCULATED,
    EVALUATED,
    CalculatedPayload,
    OptimizationEvaluated,
    PricingCalculated,
    Streams,
    evaluated,
    message,
    running,
)
from support.working import Valuation, job_of

from domainstream.queue import JobSettings
from domainstream.tools.timeline import Search, TimelineEntry, in_order
from domainstream.worker import EventContext, GiveUp

REPLAY = ("--since", "1h", "--to", "valuation", "--job", "price-stay", "--json")


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
    for words in (["0.5"], [event.id, "--since", "4102444800000"]):
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


def without_price(stay: str) -> None:
    """Fail as a handler's own code does."""
    raise KeyError(stay)


async def fail(event: OptimizationEvaluated, context: EventContext) -> None:
    """Fail with the aggregate's id in the message."""
    without_price(event.aggregate_id)


@pytest.mark.parametrize(("attempts", "state", "what"), [(1, "failed", "failed"), (2, "delayed", "started")])
async def test_failure_is_explained(
    typed: Type, valuation: Valuation, bull: str, attempts: int, state: str, what: str
) -> None:
    """The last step of a job that failed, or that will be tried again, shows the error and the line of the own code."""
    event = evaluated(aggregate_id="confidential")
    await valuation.add(job_of(event, settings=JobSettings(attempts=attempts, backoff=timedelta(minutes=30))))
    async with running(valuation.worker(fail)):
        await valuation.ended(state)
    words = ("trace", event.id, "--bull-prefix", bull)
    *before, last = records(await typed(*words, "--json"))
    assert (last["what"], last["error"]) == (what, "KeyError")
    assert last["where"].startswith(f"{__file__}:")
    assert "reason" not in last
    assert [step for step in before if "error" in step] == []
    text = await typed(*words)
    assert f"KeyError at {__file__}:" in text.stdout
    assert "'confidential'" not in text.output
    assert ("domainstream jobs show valuation event-1" in text.stderr) == (state == "failed")


async def test_message_of_a_failure_is_shown_when_asked(typed: Type, valuation: Valuation, bull: str) -> None:
    """The message of an error may quote the event, so it is shown only with `--reasons`."""
    event = evaluated(aggregate_id="confidential")
    await valuation.add(job_of(event, settings=JobSettings(attempts=1)))
    async with running(valuation.worker(fail)):
        await valuation.ended("failed")
    *_, last = records(await typed("trace", event.id, "--reasons", "--json", "--bull-prefix", bull))
    assert last["reason"] == "KeyError: 'confidential'"
    assert (
        " in without_price: 'confidential'"
        in (await typed("trace", event.id, "--reasons", "--bull-prefix", bull)).stdout
    )


async def test_aggregate_is_traced_across_its_transactions(
    typed: Type, streams: Streams, valuation: Valuation, bull: str
) -> None:
    """The id of an aggregate finds all events about it with their jobs, and names how many transactions they are of."""
    events = [evaluated(aggregate_id="stay-7") for _ in range(2)]
    for event in [*events, evaluated(aggregate_id="stay-70")]:
        await streams.add(event)
    await valuation.add(job_of(events[1]))
    result = await typed("trace", "stay-7", "--json", "--bull-prefix", bull)
    steps = records(result)
    assert [step["what"] for step in steps] == ["published", "published", "added"]
    assert [step["event_id"] for step in steps] == [events[0].id, events[1].id, events[1].id]
    assert "stay-7 is an aggregate, with events of 2 transactions" in result.stderr


async def test_limit_of_a_search_is_said(typed: Type, streams: Streams, bull: str) -> None:
    """The newest entries are searched, up to a limit, and a warning names the streams that have more."""
    events = [evaluated() for _ in range(5)]
    for event in events:
        await streams.add(event)
    words = ("--limit", "2", "--json", "--bull-prefix", bull)
    found, missed = await typed("trace", events[4].id, *words), await typed("trace", events[0].id, *words)
    assert len(records(found)) == 1
    assert records(missed, exit_code=4) == []
    for result in (found, missed):
        assert f"Only 2 were searched of {EVALUATED}. To search more, raise --limit." in result.stderr
    complete = await typed("trace", events[0].id, "--limit", "5", "--bull-prefix", bull)
    assert "searched" not in complete.stderr


async def test_long_search_reports_its_progress() -> None:
    """A search reports how far it is, where it is, and where it stopped."""
    reports: list[tuple[int, str]] = []
    search = Search("one", limit=3, report=lambda number, place: reports.append((number, place)), every=2)

    async def numbers(most: int) -> AsyncIterator[int]:
        for number in range(most):
            yield number

    assert [number async for number in search.within("short", numbers(3))] == [0, 1, 2]
    assert [number async for number in search.within("long", numbers(9))] == [0, 1, 2]
    assert reports == [(2, "short"), (4, "long"), (6, "long")]
    assert search.cut == ["long"]


async def test_transaction_is_waited_for(typed: Type, streams: Streams, valuation: Valuation, bull: str) -> None:
    """With --wait, the timeline is shown once the transaction's jobs have ended."""
    event = evaluated()
    await streams.add(event)
    await typed("replay", EVALUATED, *REPLAY, "--yes", "--bull-prefix", bull)
    async with running(valuation.worker(_nothing)):
        result = await typed("trace", event.id, "--wait", "--json", "--bull-prefix", bull)
    assert records(result)[-1]["what"] == "completed"


async def test_failed_transaction_is_an_exit_code(
    typed: Type, streams: Streams, valuation: Valuation, bull: str
) -> None:
    """With --wait, a job that failed permanently is code 1, and the timeline is shown nevertheless."""
    event = evaluated()
    await streams.add(event)
    await typed("replay", EVALUATED, *REPLAY, "--yes", "--bull-prefix", bull)

    async def give_up(_event: object, _context: EventContext) -> None:
        raise GiveUp("no tariff")

    async with running(valuation.worker(give_up)):
        result = await typed("trace", event.id, "--wait", "--bull-prefix", bull)
    assert result.exit_code == 1
    assert "1 job that failed permanently" in result.output
    assert "queue valuation: price-stay" in result.output


async def test_transaction_that_is_not_settled_is_an_exit_code(typed: Type, streams: Streams, bull: str) -> None:
    """With --wait and a time that is over, the error names what is open."""
    event = evaluated()
    await streams.add(event)
    await typed("replay", EVALUATED, *REPLAY, "--yes", "--bull-prefix", bull)
    result = await typed("trace", event.id, "--wait", "--timeout", "200ms", "--bull-prefix", bull)
    assert result.exit_code == 1
    assert "of the queue valuation is wait" in result.output
