"""`domainstream trace` finds entries by the index of their stream, and their jobs by their ids."""

from collections.abc import AsyncIterator

import pytest
from integration.cli.conftest import Type, records
from redis.asyncio import Redis
from support.consuming import EVALUATED, OptimizationEvaluated, Streams, delivery, evaluated, message
from support.working import Valuation

from domainstream import EventProducer, RedisStreamPublisherClient
from domainstream.event import read_message
from domainstream.queue import Job, job_data, job_id
from domainstream.tools import event_search

Producer = EventProducer[OptimizationEvaluated]


@pytest.fixture
async def producer(redis_url: str, stream_prefix: str) -> AsyncIterator[Producer]:
    """A producer whose publisher keeps the index."""
    async with RedisStreamPublisherClient.from_url(redis_url, prefix=stream_prefix) as client:
        yield EventProducer(client, channel_for=lambda _: EVALUATED, source="coding")


@pytest.fixture
def large_queues(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every queue has too many jobs to look at each of them."""
    monkeypatch.setattr(event_search, "FEW_JOBS", 0)


def job_of(event: OptimizationEvaluated, name: str = "") -> Job:
    """Return the job of an event, one of several of its queue if it has a name."""
    data = job_data(delivery(event), read_message(message(event)))
    return Job("valuation", name or "price-stay", job_id(event.id, job=name), data)


async def test_index_finds_more_than_the_newest_entries(typed: Type, producer: Producer, bull: str) -> None:
    """With an index, `--limit` counts what is found, not what was searched."""
    wanted = evaluated(aggregate_id="stay-7")
    await producer.publish_many([wanted, *[evaluated() for _ in range(5)]])
    result = await typed("trace", "stay-7", "--limit", "2", "--json", "--bull-prefix", bull)
    assert [step["event_id"] for step in records(result)] == [wanted.id]
    assert "searched" not in result.stderr


async def test_limit_of_what_is_found_is_said(typed: Type, producer: Producer, bull: str) -> None:
    """The newest of too many entries are shown, with a warning."""
    events = [evaluated(aggregate_id="stay-7") for _ in range(3)]
    await producer.publish_many(events)
    result = await typed("trace", "stay-7", "--limit", "2", "--json", "--bull-prefix", bull)
    assert [step["event_id"] for step in records(result)] == [event.id for event in events[1:]]
    assert f"Only 2 were searched of {EVALUATED}" in result.stderr


async def test_entries_before_the_given_time_are_left_out(typed: Type, producer: Producer, bull: str) -> None:
    """`--since` holds for what the index finds, too."""
    first, second = evaluated(aggregate_id="stay-7"), evaluated(aggregate_id="stay-7")
    await producer.publish(first)
    receipt = await producer.publish(second)
    words = ("trace", "stay-7", "--since", str(receipt.entry_id), "--json", "--bull-prefix", bull)
    assert [step["event_id"] for step in records(await typed(*words))] == [second.id]


async def test_entry_whose_hash_collides_is_left_out(typed: Type, producer: Producer, bull: str) -> None:
    """What only has the same hash is about something else."""
    event = evaluated(aggregate_id="plumless")
    await producer.publish_many([event, evaluated(aggregate_id="buckeroo")])
    steps = records(await typed("trace", "plumless", "--json", "--bull-prefix", bull))
    assert [step["event_id"] for step in steps] == [event.id]


async def test_entry_without_record_is_found(typed: Type, producer: Producer, streams: Streams, bull: str) -> None:
    """A stream that another program writes to as well is searched to its end."""
    indexed, plain = evaluated(aggregate_id="stay-7"), evaluated(aggregate_id="stay-7")
    await producer.publish(indexed)
    await streams.add(plain)
    steps = records(await typed("trace", "stay-7", "--json", "--bull-prefix", bull))
    assert [step["event_id"] for step in steps] == [indexed.id, plain.id]


@pytest.mark.usefixtures("large_queues")
async def test_jobs_of_found_events_are_shown(typed: Type, producer: Producer, valuation: Valuation, bull: str) -> None:
    """Also when the queue has several jobs of each event, all of those of the aggregate are found, and no others."""
    events = [evaluated(aggregate_id="stay-7"), evaluated(aggregate_id="stay-8")]
    await producer.publish_many(events)
    await valuation.add(*[job_of(event, name) for event in events for name in ("price-stay", "bill.stay")])
    result = await typed("trace", "stay-7", "--json", "--bull-prefix", bull)
    steps = records(result)
    assert sorted(str(step.get("job")) for step in steps) == ["None", "bill.stay", "price-stay"]
    assert {step["event_id"] for step in steps} == {events[0].id}
    assert "Other jobs in valuation were not searched" in result.stderr


@pytest.mark.usefixtures("large_queues")
async def test_all_jobs_are_searched_when_asked(
    typed: Type, producer: Producer, valuation: Valuation, redis: Redis, bull: str, stream_prefix: str
) -> None:
    """A job whose event the stream has no longer is found with `--all-jobs`."""
    gone, kept = evaluated(aggregate_id="stay-7"), evaluated(aggregate_id="stay-7")
    await producer.publish_many([gone, kept])
    await valuation.add(job_of(gone), job_of(kept))
    await redis.xtrim(f"{stream_prefix}{EVALUATED}", maxlen=1, approximate=False)
    words = ("trace", "stay-7", "--json", "--bull-prefix", bull)
    assert {step["event_id"] for step in records(await typed(*words))} == {kept.id}
    result = await typed(*words, "--all-jobs")
    assert {step["event_id"] for step in records(result)} == {gone.id, kept.id}
    assert "--all-jobs" not in result.stderr


@pytest.mark.usefixtures("large_queues")
async def test_all_jobs_are_searched_when_no_event_is_found(typed: Type, valuation: Valuation, bull: str) -> None:
    """A job whose event is in no stream is found all the same."""
    event = evaluated(aggregate_id="stay-7")
    await valuation.add(job_of(event))
    result = await typed("trace", "stay-7", "--json", "--bull-prefix", bull)
    assert [step["event_id"] for step in records(result)] == [event.id]
    assert "--all-jobs" not in result.stderr


async def test_few_jobs_are_all_searched(typed: Type, producer: Producer, valuation: Valuation, bull: str) -> None:
    """Where queues have few jobs, also those of events that the streams have no longer are found at once."""
    gone, kept = evaluated(aggregate_id="stay-7"), evaluated(aggregate_id="stay-7")
    await producer.publish(kept)
    await valuation.add(job_of(gone), job_of(kept))
    result = await typed("trace", "stay-7", "--json", "--bull-prefix", bull)
    assert {step["event_id"] for step in records(result)} == {gone.id, kept.id}
    assert "--all-jobs" not in result.stderr
