"""Jobs that this build does not handle, because their event type, job name or event version may be newer than it."""

import logging
from datetime import timedelta
from typing import Any, final

import pytest
from support.consuming import EvaluatedPayload, EventType, OptimizationEvaluated, calculated, evaluated
from support.handling import received

from domainstream.errors import EventDecodingError, HandlerNotFoundError
from domainstream.event import BaseEvent
from domainstream.worker import EventConsumer, EventContext, ReceivedJob, Wait
from domainstream.worker.attempt import AttemptRunner
from domainstream.worker.outcomes import AttemptResult, Completed, Failed, Waiting

NOW = 1_700_000_000.0
DAY = timedelta(days=1)
AGES_AGO = 1
"""When a job was added that has been in a backlog for long, in milliseconds since 1970."""


@final
class OptimizationEvaluatedV2(BaseEvent[EvaluatedPayload]):
    """The event as a producer has it that was deployed before its consumer."""

    event_type = EventType.EVALUATED
    version = 2


NEWER_VERSION = received(
    OptimizationEvaluatedV2(aggregate_id="opt-1", payload=EvaluatedPayload(score=0.5)), timestamp_ms=AGES_AGO
)
NEWER_TYPE = received(calculated(), timestamp_ms=AGES_AGO)
NEWER_NAME = received(name="price-suite", timestamp_ms=AGES_AGO)

EACH = pytest.mark.parametrize(
    ("job", "error"),
    [
        (NEWER_VERSION, "UnknownEventVersionError: version 2 is newer than version 1 of OptimizationEvaluated; update"),
        (NEWER_TYPE, "HandlerNotFoundError: queue valuation, job price-stay (event-1): no handler for event type"),
        (NEWER_NAME, "HandlerNotFoundError: queue valuation, job price-suite (event-1): no handler for Optimization"),
    ],
    ids=["version", "type", "name"],
)


def consumer_of(**settings: Any) -> EventConsumer:
    """Return the consumer of an older build."""
    consumer = EventConsumer("valuation", **settings)

    @consumer.on(OptimizationEvaluated, job="price-stay")
    async def price_stay(event: OptimizationEvaluated, context: EventContext) -> None: ...

    return consumer


class Runner:
    """Attempts with a clock that a test sets."""

    def __init__(self, **settings: Any) -> None:
        self.now = NOW
        self._run = AttemptRunner(consumer_of(**settings), lambda: self.now)

    async def __call__(self, job: ReceivedJob) -> AttemptResult:
        """Look at a job."""
        return await self._run(job)


def waited(job: ReceivedJob, waits: int) -> ReceivedJob:
    """Return a job that was put back `waits` times."""
    fields = {name: getattr(job, name) for name in ("id", "name", "attempt", "data", "timestamp_ms")}
    return ReceivedJob(**fields, waits=waits)


@EACH
async def test_job_of_a_newer_build_waits(job: ReceivedJob, error: str, caplog: pytest.LogCaptureFixture) -> None:
    """A job that an older build gets is put back with the reason, and the line in the log is an error."""
    result = await Runner()(job)
    assert isinstance(result, Waiting)
    assert result.pause == timedelta(seconds=1)
    assert result.reason.startswith(error)
    (record,) = caplog.records
    assert record.levelname == "ERROR"
    assert record.getMessage().startswith(f"worker.job_waits queue=valuation job=event-1 name={job.name} event=domain_")
    assert f" waits=1 pause_s=1.0 others=0 reason={error}" in record.getMessage()


@EACH
async def test_job_of_a_newer_build_may_fail_at_once(
    job: ReceivedJob, error: str, caplog: pytest.LogCaptureFixture
) -> None:
    """With `unhandled="fail"` such a job fails permanently in its first attempt."""
    result = await Runner(unhandled="fail")(job)
    assert isinstance(result, Failed)
    assert result.again_in is None
    assert result.reason.startswith(error)
    assert caplog.messages[0].startswith(f"worker.job_failed queue=valuation job=event-1 name={job.name} event=domain_")
    assert " where=before its handler reason=" in caplog.messages[0]


@EACH
async def test_job_of_a_newer_build_may_be_skipped(
    job: ReceivedJob, error: str, caplog: pytest.LogCaptureFixture
) -> None:
    """With `unhandled="skip"` such a job is completed, which is logged."""
    caplog.set_level(logging.INFO, "domainstream.worker")
    assert await Runner(unhandled="skip")(job) == Completed()
    await consumer_of(unhandled="skip").handle(job)
    assert caplog.messages[0].startswith(f"worker.job_skipped queue=valuation job=event-1 name={job.name} reason=")


@EACH
async def test_test_of_a_handler_sees_the_error(job: ReceivedJob, error: str) -> None:
    """`EventConsumer.handle`, which tests use, raises the error instead of waiting."""
    with pytest.raises((HandlerNotFoundError, EventDecodingError), match=r"no handler for|newer than"):
        await consumer_of().handle(job)


async def test_event_without_a_readable_version_fails() -> None:
    """An event whose version no build can read does not wait."""
    data = received(evaluated()).data.replace('/1"', '/latest"')
    result = await Runner()(received(data=data))
    assert isinstance(result, Failed)
    assert result.reason.startswith("UnknownEventVersionError: dataschema does not end in a version")


async def test_pauses_double_up_to_ten_minutes() -> None:
    """A job that waits is looked at again after 1, 2, 4, ... seconds, and after 512 s every 10 minutes."""
    results = [await Runner()(waited(NEWER_TYPE, waits)) for waits in range(14)]
    pauses = [result.pause.total_seconds() for result in results if isinstance(result, Waiting)]
    assert pauses == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600, 600, 600]


async def waits_until_failure(limit: timedelta | None) -> timedelta:
    """Return for how long a job waits in all before it fails."""
    run = Runner() if limit is None else Runner(unhandled=Wait(limit))
    job, begin = waited(NEWER_TYPE, 0), run.now
    while isinstance(result := await run(job), Waiting):
        run.now += result.pause.total_seconds()
        job = waited(job, job.waits + 1)
    assert isinstance(result, Failed)
    return timedelta(seconds=run.now - begin)


@pytest.mark.parametrize("limit", [None, timedelta(seconds=5), timedelta(hours=1), timedelta(hours=30)])
async def test_job_fails_when_it_has_waited_for_the_limit(limit: timedelta | None) -> None:
    """A job waits for exactly the limit, 7 days by default, and then fails."""
    assert await waits_until_failure(limit) == (limit or 7 * DAY)


async def test_failure_after_the_limit_says_how_long_the_job_waited(caplog: pytest.LogCaptureFixture) -> None:
    """The line that reports the failure has the limit, and what to add to the service."""
    await Runner(unhandled=Wait(DAY))(waited(NEWER_TYPE, 1_000))
    said = (
        " reason=it has waited for 1 day, 0:00:00: queue valuation, job price-stay (event-1): no handler for event type"
    )
    assert said in caplog.text


async def test_age_alone_is_no_wait() -> None:
    """A job from a backlog older than the limit waits, because it has been looked at only once."""
    assert isinstance(await Runner()(waited(NEWER_TYPE, 0)), Waiting)


async def test_waits_alone_are_not_the_limit() -> None:
    """A job that its handler put back a thousand times within a day waits too, because it is younger than the limit."""
    young = received(calculated(), waits=10_000, timestamp_ms=round((NOW - 86_400) * 1000))
    assert await Runner()(young) == Waiting(timedelta(minutes=10), (await Runner()(NEWER_TYPE)).reason)  # type: ignore[union-attr]


async def test_jobs_of_one_kind_are_reported_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    """A thousand jobs of one kind are one line, and the next line a minute later counts the others."""
    run = Runner()
    for number in range(1_000):
        await run(received(calculated(), id=f"event-{number}"))
    assert len(caplog.records) == 1
    await run(NEWER_NAME)
    assert len(caplog.records) == 2
    run.now += 60
    await run(NEWER_TYPE)
    assert len(caplog.records) == 3
    assert " others=999 " in caplog.messages[2]


async def test_kinds_without_end_take_no_memory_without_end(caplog: pytest.LogCaptureFixture) -> None:
    """Jobs with ever new names are reported each, and what is remembered of them stays small."""
    run = Runner()
    for number in range(2_500):
        await run(received(name=f"price-{number}"))
    assert len(caplog.records) == 2_500
    assert len(run._run._waits._kinds) <= 1_000
