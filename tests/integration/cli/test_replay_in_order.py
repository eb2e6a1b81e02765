"""`domainstream replay` into a queue whose jobs are handled in order."""

from datetime import UTC, datetime, timedelta

import pytest
from integration.cli.conftest import Type, records
from redis.asyncio import Redis
from support.consuming import EVALUATED, OptimizationEvaluated, Streams, evaluated
from support.ordered_queue import QUEUE
from support.worked_queue import WorkedQueue, completed

from domainstream.queue import job_id

WORDS = ("replay", EVALUATED, "--to", QUEUE, "--job", "price-stay", "--yes", "--json")
ALL = (*WORDS, "--since", "1700000000000-0")
IN_ORDER = ("--order-by", "aggregate")


@pytest.fixture
async def queue(redis_url: str, redis: Redis, bull: str) -> WorkedQueue:
    """The queue of this test, which a subscriber has looked after."""
    queue = WorkedQueue(redis_url, redis, bull)
    await queue.tend()
    return queue


@pytest.fixture
async def events(streams: Streams) -> list[OptimizationEvaluated]:
    """Four events of one aggregate, a millisecond apart."""
    events = [evaluated() for _ in range(4)]
    for number, event in enumerate(events):
        await streams.add(event, f"{1_700_000_000_000 + number}-0")
    return events


def ids_of(events: list[OptimizationEvaluated]) -> list[str]:
    """Return the ids of the jobs of events."""
    return [job_id(event.id) for event in events]


async def test_replayed_jobs_go_before_those_of_later_events(
    typed: Type, bull: str, queue: WorkedQueue, events: list[OptimizationEvaluated]
) -> None:
    """Jobs that are replayed after those of later events are handled before them."""
    late = [word for event in events[2:] for word in ("--event", event.id)]
    await typed(*WORDS, *late, *IN_ORDER, "--bull-prefix", bull)
    (outcome,) = records(await typed(*ALL, *IN_ORDER, "--bull-prefix", bull))
    assert (outcome["added"], outcome["known"]) == (2, 2)
    assert await queue.handle(until_done=completed(ids_of(events))) == ids_of(events)


async def test_replayed_jobs_keep_the_order_of_their_stream(
    typed: Type, bull: str, queue: WorkedQueue, streams: Streams
) -> None:
    """Within a millisecond the stream decides, also where an entry's event happened before that of the entry before."""
    now = datetime.now(UTC)
    events = [evaluated(occurred_at=now - timedelta(seconds=number)) for number in range(3)]
    for number, event in enumerate(events):
        await streams.add(event, f"1700000000000-{number}")
    await typed(*ALL, *IN_ORDER, "--bull-prefix", bull)
    assert await queue.handle(until_done=completed(ids_of(events))) == ids_of(events)


async def test_without_the_option_they_run_beside_the_others(
    typed: Type, bull: str, queue: WorkedQueue, events: list[OptimizationEvaluated]
) -> None:
    """Control: the jobs wait for nobody, and the command says so."""
    result = await typed(*ALL, "--bull-prefix", bull)
    assert "Jobs of valuation are handled in order, and these will run beside them" in result.stderr
    assert sorted(ids_of(events)) == await queue.ids("wait")


async def test_replayed_job_waits_behind_a_failed_one(
    typed: Type, bull: str, queue: WorkedQueue, streams: Streams
) -> None:
    """A key that a failed job holds stays held, and other keys go on."""
    await queue.hold("opt-1", "failed-1")
    events = [evaluated(aggregate_id=aggregate) for aggregate in ("opt-1", "opt-2")]
    for event in events:
        await streams.add(event)
    await typed(*ALL, *IN_ORDER, "--bull-prefix", bull)
    assert await queue.ids("waiting-children") == ids_of(events[:1])
    assert await queue.handle(until_done=completed(ids_of(events[1:]))) == ids_of(events[1:])


@pytest.mark.parametrize(
    ("rule", "partition_key", "key"),
    [
        ("aggregate", "patient-7", b"opt-1"),
        ("partition-key", "patient-7", b"patient-7"),
        ("partition-key", None, b"opt-1"),
    ],
)
async def test_rule_says_by_what_jobs_are_ordered(
    typed: Type, bull: str, queue: WorkedQueue, streams: Streams, rule: str, partition_key: str | None, key: bytes
) -> None:
    """The key is what the same rule of a subscription returns."""
    event = evaluated(partition_key=partition_key)
    await streams.add(event)
    await typed(*ALL, "--order-by", rule, "--bull-prefix", bull)
    assert (await queue.jobs.fields(job_id(event.id)))["dskey"] == key


@pytest.mark.parametrize("on_failure", ["hold", "skip"])
async def test_replay_keeps_the_rule_of_the_queue(
    typed: Type, bull: str, redis_url: str, redis: Redis, events: list[OptimizationEvaluated], on_failure: str
) -> None:
    """What becomes of the jobs behind a failed one is for the subscriptions to say."""
    queue = WorkedQueue(redis_url, redis, bull, on_failure=on_failure)  # type: ignore[arg-type]
    await queue.tend()
    await typed(*ALL, *IN_ORDER, "--bull-prefix", bull)
    assert await redis.get(queue.key("order:rule")) == on_failure.encode()
    assert await queue.ids("waiting-children") == sorted(ids_of(events[1:]))


async def test_replay_leaves_the_marks_of_subscribers(
    typed: Type, bull: str, queue: WorkedQueue, events: list[OptimizationEvaluated]
) -> None:
    """A replay adds jobs and notes nothing of what the queue has had."""
    await typed(*ALL, *IN_ORDER, "--bull-prefix", bull)
    assert len(await queue.ids("waiting-children")) == len(events) - 1
    assert not await queue.redis.exists(queue.key("domainstream:marks"))


async def test_events_are_handled_again_in_order(
    typed: Type, bull: str, queue: WorkedQueue, events: list[OptimizationEvaluated]
) -> None:
    """`--again` adds a second job of each event, and these are in order, too."""
    await typed(*ALL, *IN_ORDER, "--bull-prefix", bull)
    await queue.handle(until_done=completed(ids_of(events)))
    await typed(*ALL, *IN_ORDER, "--again", "--bull-prefix", bull)
    handled = await queue.handle(until_done=lambda ids: len(ids) == len(events))
    assert [one.split(".")[0] for one in handled] == ids_of(events)


async def test_queue_without_order_has_none_to_join(
    typed: Type, streams: Streams, bull: str, redis_url: str, redis: Redis
) -> None:
    """Where no subscriber keeps the order, jobs that wait might wait without end, so none are added."""
    await streams.add(evaluated())
    result = await typed(*ALL, *IN_ORDER, "--bull-prefix", bull)
    assert result.exit_code == 2
    assert "no subscriber has kept the jobs of valuation in order yet: leave out --order-by" in result.stderr
    assert await WorkedQueue(redis_url, redis, bull).order_keys() == set()


@pytest.mark.parametrize(
    ("options", "words"),
    [(("--failed",), "use one of them"), (("--partitions", "4"), "ordered by the partition key: use that")],
    ids=["failed", "partitions"],
)
async def test_options_that_contradict_the_order(
    typed: Type,
    bull: str,
    queue: WorkedQueue,
    events: list[OptimizationEvaluated],
    options: tuple[str, ...],
    words: str,
) -> None:
    """Failed jobs keep their places, and in partitions only the partition key is in order."""
    result = await typed(*ALL, *IN_ORDER, *options, "--bull-prefix", bull)
    assert result.exit_code == 2
    assert words in result.stderr
