"""How long events took, by the times in jobs."""

from domainstream.tools.latency import JobTimes, Percentiles, latencies_of


def times(
    occurred: int | None = 0,
    added: int = 10,
    started: int = 30,
    ended: int = 60,
    *,
    job: str = "price",
    state: str = "",
) -> JobTimes:
    """Return the times of a job of billing."""
    return JobTimes(
        queue="billing",
        job=job,
        state=state,
        occurred_ms=occurred,
        added_ms=added,
        started_ms=started,
        ended_ms=ended,
    )


def test_time_is_split_at_queue_and_start() -> None:
    """The whole is from the event to the end; its parts meet where the job was added and where it began."""
    (one,) = latencies_of([times()])
    assert [part.p50 for part in (one.total, one.to_queue, one.to_start, one.handling)] == [60, 10, 20, 30]


def test_percentiles_are_times_of_jobs() -> None:
    """Of a hundred times, 50, 95 and 99 do not exceed the percentiles."""
    (one,) = latencies_of([times(ended=30 + taken) for taken in range(1, 101)])
    assert one.handling == Percentiles(p50=50, p95=95, p99=99)


def test_handler_that_takes_longest_is_first() -> None:
    """Handlers are listed by the 95th percentile of the whole, each on its own."""
    found = latencies_of([times(), times(job="invoice", ended=90), times(job="archive", ended=40)])
    assert [one.job for one in found] == ["invoice", "price", "archive"]


def test_failed_jobs_are_counted_apart() -> None:
    """How many of the jobs that were read have failed is known."""
    (one,) = latencies_of([times(), times(state="failed"), times(state="failed")])
    assert (one.completed, one.failed) == (1, 2)


def test_job_without_an_event_says_only_what_the_queue_knows() -> None:
    """Of a job whose data is not an event, the times from the event are unknown."""
    (one,) = latencies_of([times(occurred=None)])
    assert one.total.p50 is None
    assert one.to_queue.p50 is None
    assert one.to_start.p50 == 20


def test_clock_that_runs_ahead_makes_no_time_negative() -> None:
    """A publisher whose clock is ahead of the queue's makes a time zero at least."""
    (one,) = latencies_of([times(occurred=50)])
    assert one.to_queue.p50 == 0
