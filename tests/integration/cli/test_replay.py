"""`domainstream replay` adds jobs for events that are still in a stream, and says what that may repeat."""

import json

import pytest
from integration.cli.conftest import Type, records
from support.consuming import EVALUATED, OptimizationEvaluated, Streams, calculated, evaluated, message, running
from support.working import Valuation, job_of, jobs_of

from domainstream.queue import JobSettings, job_id
from domainstream.worker import EventContext

TO_VALUATION = ("--to", "valuation", "--job", "price-stay")
REPLAY = ("--since", "1h", *TO_VALUATION, "--json")


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


async def test_events_of_a_partition_are_replayed(
    typed: Type, streams: Streams, valuation: Valuation, bull: str
) -> None:
    """To commands a partition is a channel of its own; to consumers of the jobs it is not."""
    event = evaluated()
    await streams.add_data(f"{EVALUATED}:p1", data=message(event))
    (outcome,) = records(await typed("replay", f"{EVALUATED}:p1", *REPLAY, "--yes", "--bull-prefix", bull))
    assert outcome["added"] == 1
    data = json.loads((await valuation.jobs.fields(job_id(event.id)))["data"])
    assert data["_redisEvent"]["name"] == EVALUATED


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


def without_price(stay: str) -> None:
    """Fail as a handler's own code does."""
    raise KeyError(stay)


async def handle(event: OptimizationEvaluated, context: EventContext) -> None:
    """Complete the jobs of one aggregate, and fail all others."""
    if event.aggregate_id != "good":
        without_price(event.aggregate_id)


ONCE = JobSettings(attempts=1)


@pytest.fixture
async def events(streams: Streams, valuation: Valuation) -> list[OptimizationEvaluated]:
    """Four events: the jobs of the first two have failed, that of the third is completed, the last one has none."""
    events = [evaluated(aggregate_id=aggregate) for aggregate in ("bad-1", "bad-2", "good", "good")]
    for event in events:
        await streams.add(event)
    await valuation.add(*[job_of(event, job_id=job_id(event.id), settings=ONCE) for event in events[:3]])
    async with running(valuation.worker(handle)):
        await valuation.ended("failed", 2)
        await valuation.ended("completed")
    return events


async def test_events_without_a_job_may_have_been_handled_and_are_counted(
    typed: Type, bull: str, events: list[OptimizationEvaluated]
) -> None:
    """A completed job that BullMQ has removed looks like a missing one: report and question say how many there are."""
    words = ["replay", EVALUATED, "--since", "1h", *TO_VALUATION, "--bull-prefix", bull]
    (dry,) = records(await typed(*words, "--dry-run", "--json"))
    assert (dry["events"], dry["added"], dry["may_repeat"]) == (4, 1, 1)
    assert (dry["known"], dry["completed"], dry["failed"]) == (3, 1, 2)
    asked = await typed(*words)
    assert "1 may have been handled before: the queue does not have their jobs any more, or never had" in asked.stderr
    report = await typed(*words, "--yes")
    assert "1 may have been handled before" in report.stdout
    assert "3 skipped: the queue has their jobs (1 completed, 2 failed, 0 still to be done)" in report.stdout
    assert "To retry the failed jobs of these events, add: --failed" in report.stderr


async def test_queue_that_never_had_a_job_has_handled_nothing(typed: Type, streams: Streams, bull: str) -> None:
    """The first replay into a new queue repeats nothing, and says nothing of it."""
    await streams.add(evaluated())
    result = await typed("replay", EVALUATED, "--since", "1h", *TO_VALUATION, "--yes", "--bull-prefix", bull)
    assert result.stdout == "1 of 1 event were added to valuation as price-stay\n"


async def test_again_says_what_it_repeats(typed: Type, bull: str, events: list[OptimizationEvaluated]) -> None:
    """The question names how many events have a job already, in which states, and how many may have had one."""
    words = ["replay", EVALUATED, "--since", "1h", *TO_VALUATION, "--again", "--bull-prefix", bull]
    asked = await typed(*words)
    assert asked.exit_code == 2
    assert "3 will be handled again: the queue has their jobs already (1 completed, 2 failed, 0 still" in asked.stderr
    assert "1 may have been handled before" in asked.stderr
    (outcome,) = records(await typed(*words, "--json", "--yes"))
    assert (outcome["added"], outcome["repeated"], outcome["may_repeat"]) == (4, 3, 1)


async def test_failed_jobs_are_replayed(
    typed: Type, bull: str, valuation: Valuation, events: list[OptimizationEvaluated]
) -> None:
    """`--failed` retries exactly the jobs that failed, and adds none for events whose job is completed or forgotten."""
    words = ["replay", EVALUATED, *TO_VALUATION, "--failed", "--bull-prefix", bull]
    assert "Retry 2 failed jobs of valuation" in (await typed(*words)).stderr
    (dry,) = records(await typed(*words, "--dry-run", "--json"))
    assert (dry["retried"], dry["added"], len(await valuation.jobs.ids("failed"))) == (2, 0, 2)
    result = await typed(*words, "--yes")
    assert result.stdout == "2 of 4 events were retried in valuation: their jobs had failed\n"
    assert await valuation.jobs.ids("failed") == []
    assert sorted(await valuation.jobs.ids()) == sorted(job_id(event.id) for event in events[:2])


async def test_single_events_are_replayed(
    typed: Type, bull: str, valuation: Valuation, events: list[OptimizationEvaluated]
) -> None:
    """Only the named events are replayed, wherever they are in the stream, and those that are not in it are named."""
    words = ["replay", EVALUATED, *TO_VALUATION, "--event", events[3].id, "--event", "event-x", "--bull-prefix", bull]
    (outcome,) = records(await typed(*words, "--yes", "--json"), exit_code=5)
    assert (outcome["events"], outcome["added"], outcome["missing"]) == (1, 1, ["event-x"])
    assert await valuation.jobs.ids() == [job_id(events[3].id)]


async def test_events_that_are_not_in_the_stream_are_not_found(
    typed: Type, bull: str, events: list[OptimizationEvaluated]
) -> None:
    """Without any of the named events, the command ends with 4 and the command that finds their jobs."""
    result = await typed("replay", EVALUATED, *TO_VALUATION, "--event", "event-x", "--bull-prefix", bull)
    assert result.exit_code == 4
    assert "domainstream trace event-x" in result.stderr


async def test_failed_job_of_a_single_event_is_retried(
    typed: Type, bull: str, valuation: Valuation, events: list[OptimizationEvaluated]
) -> None:
    """`--event` and `--failed` together retry the job of that event."""
    words = ["replay", EVALUATED, *TO_VALUATION, "--failed", "--event", events[1].id, "--yes", "--bull-prefix", bull]
    assert (await typed(*words)).exit_code == 0
    assert await valuation.jobs.ids() == [job_id(events[1].id)]


async def test_replay_ends_at_until(typed: Type, streams: Streams, bull: str) -> None:
    """Nothing after `--until` is replayed, be it an entry id, a moment or a time ago."""
    ids = [await streams.add(evaluated()) for _ in range(5)]
    words = ["replay", EVALUATED, "--since", ids[0], *TO_VALUATION, "--json", "--dry-run", "--bull-prefix", bull]
    assert records(await typed(*words, "--until", ids[2]))[0]["added"] == 3
    assert records(await typed(*words, "--until", "1h"))[0]["added"] == 0
    assert records(await typed(*words, "--until", "2999-01-01"))[0]["added"] == 5


@pytest.mark.parametrize(("options", "words"), [([], "--since 2h, --event"), (["--failed", "--again"], "one of them")])
async def test_replay_needs_a_clear_choice(
    typed: Type, streams: Streams, bull: str, options: list[str], words: str
) -> None:
    """Without a choice, or with two that contradict each other, nothing is replayed."""
    await streams.add(evaluated())
    result = await typed("replay", EVALUATED, *TO_VALUATION, *options, "--yes", "--bull-prefix", bull)
    assert result.exit_code == 2
    assert words in result.stderr
