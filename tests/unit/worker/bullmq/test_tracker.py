"""What the next round trip does, and which jobs a worker holds."""

import asyncio
from itertools import count

import pytest
from support.working import held

from domainstream.worker.bullmq.job import COMPLETE, PROGRESS, JobUpdate
from domainstream.worker.bullmq.round_trip import RoundTrip, RoundTripReply
from domainstream.worker.bullmq.tracker import MAX_FETCH, JobTracker

_numbers = count()


def reply(jobs: int = 0, limited_for: float = 0) -> RoundTripReply:
    """Return a reply with this number of new jobs."""
    return RoundTripReply([], [held(f"token-{next(_numbers)}") for _ in range(jobs)], limited_for, 0, "")


def next_of(tracker: JobTracker, now: float = 0) -> RoundTrip:
    """Return the next round trip, which must exist."""
    round_trip = tracker.next_round_trip(now)
    assert round_trip is not None
    return round_trip


@pytest.mark.parametrize(("concurrency", "share"), [(1, 1), (3, 2), (10, 5), (14, 5), (50, 10), (1000, MAX_FETCH)])
def test_round_trip_fetches_a_share_of_the_concurrency(concurrency: int, share: int) -> None:
    """Several round trips share the concurrency, and none is so large that it holds up the server."""
    assert next_of(JobTracker("w", concurrency)).fetch_count == share


def test_held_and_requested_jobs_never_exceed_the_concurrency() -> None:
    """Held jobs and those of round trips under way both count against the concurrency."""
    tracker = JobTracker("w", 8)
    tracker.done(next_of(tracker), reply(4), 0)
    assert next_of(tracker).fetch_count == 4
    assert tracker.next_round_trip(0) is None


def test_several_round_trips_fetch_only_while_there_is_a_backlog() -> None:
    """A round trip fetches alone until one gets all that it asked for; then others fetch beside it."""
    tracker = JobTracker("w", 50)
    first = next_of(tracker)
    assert tracker.next_round_trip(0) is None
    tracker.done(first, reply(first.fetch_count), 0)
    assert [next_of(tracker).fetch_count for _ in range(2)] == [10, 10]


def test_wake_during_a_fetch_is_not_lost() -> None:
    """The fetch may have been too early for the new job, so another one follows when it brings too little."""
    tracker = JobTracker("w", 4)
    early = next_of(tracker)
    tracker.wake()
    tracker.done(early, reply(), 0)
    assert tracker.idle is False
    assert next_of(tracker).fetch_count == 2


def test_job_that_ends_makes_room_in_the_round_trip_that_reports_it() -> None:
    """The server finishes jobs before it hands out others, so it never sees more active jobs than the concurrency."""
    tracker = JobTracker("w", 2)
    jobs = reply(2).jobs
    for job in jobs:
        tracker.done(next_of(tracker), RoundTripReply([], [job], 0, 0, ""), 0)
    assert tracker.next_round_trip(0) is None
    tracker.report(JobUpdate(COMPLETE, jobs[0], 0))
    round_trip = next_of(tracker)
    assert len(round_trip.updates) == 1
    assert round_trip.fetch_count == 1
    assert len(tracker.held) == 2
    tracker.done(round_trip, reply(), 0)
    assert list(tracker.held) == [jobs[1].token]


def test_progress_ends_nothing() -> None:
    """A job whose progress is reported stays held and makes no room."""
    tracker = JobTracker("w", 1)
    jobs = reply(1).jobs
    tracker.done(next_of(tracker), RoundTripReply([], jobs, 0, 0, ""), 0)
    tracker.report(JobUpdate(PROGRESS, jobs[0], 0))
    round_trip = next_of(tracker)
    assert round_trip.fetch_count == 0
    tracker.done(round_trip, reply(), 0)
    assert list(tracker.held) == [jobs[0].token]


def test_job_whose_outcome_was_rejected_is_held_until_another_one_is_reported() -> None:
    """An outcome that replaces a rejected one keeps the job's lock alive until the server has it."""
    tracker = JobTracker("w", 1)
    jobs = reply(1).jobs
    tracker.done(next_of(tracker), RoundTripReply([], jobs, 0, 0, ""), 0)
    for _ in range(2):
        tracker.report(JobUpdate(COMPLETE, jobs[0], 0))
        assert list(tracker.held) == [jobs[0].token]
        tracker.done(next_of(tracker), reply(), 0)
        assert list(tracker.held) == []


def test_empty_queue_is_not_asked_again_until_the_worker_is_woken() -> None:
    """A fetch that gets fewer jobs than it asked for is the last one until something wakes the worker."""
    tracker = JobTracker("w", 4)
    tracker.done(next_of(tracker), reply(1), 0)
    assert tracker.idle is True
    assert tracker.next_round_trip(0) is None
    tracker.wake()
    assert next_of(tracker).fetch_count == 2


def test_rate_limit_stops_fetching_for_a_while() -> None:
    """Outcomes are still reported while a rate limit keeps the worker from fetching."""
    tracker = JobTracker("w", 2)
    jobs = reply(1).jobs
    tracker.done(next_of(tracker), RoundTripReply([], jobs, 1.5, 0, ""), 10)
    assert tracker.next_round_trip(11) is None
    assert tracker.idle is False
    tracker.report(JobUpdate(COMPLETE, jobs[0], 0))
    assert next_of(tracker, 11).fetch_count == 0
    assert next_of(tracker, 11.6).fetch_count == 1


def test_unanswered_round_trip_is_made_up_for() -> None:
    """Its updates are repeated before later ones and marked so, and the jobs it may have fetched are searched for."""
    tracker = JobTracker("w", 2)
    jobs = reply(1).jobs
    tracker.done(next_of(tracker), RoundTripReply([], jobs, 0, 0, ""), 0)
    tracker.report(JobUpdate(COMPLETE, jobs[0], 0))
    failed = next_of(tracker)
    tracker.report(JobUpdate(PROGRESS, jobs[0], 0))
    tracker.failed(failed)
    first, second = next_of(tracker), next_of(tracker)
    assert [(update.kind, update.repeated) for update in first.updates] == [(COMPLETE, True)]
    assert [(update.kind, update.repeated) for update in second.updates] == [(PROGRESS, False)]
    assert first.unanswered == [failed.token_prefix]
    assert second.unanswered == []
    assert (first.token_prefix != failed.token_prefix) is True


def test_search_that_goes_unanswered_is_repeated() -> None:
    """Unanswered round trips are searched for until a reply arrives."""
    tracker = JobTracker("w", 1)
    first = next_of(tracker)
    tracker.failed(first)
    second = next_of(tracker)
    tracker.failed(second)
    assert next_of(tracker).unanswered == [first.token_prefix, second.token_prefix]


def test_closed_tracker_fetches_nothing_and_finishes_when_all_is_reported() -> None:
    """Held jobs and missing replies keep a closed tracker from finishing."""
    tracker = JobTracker("w", 1)
    round_trip = next_of(tracker)
    tracker.close()
    assert not tracker.finished
    jobs = reply(1).jobs
    tracker.done(round_trip, RoundTripReply([], jobs, 0, 0, ""), 0)
    assert tracker.finished is False
    assert tracker.next_round_trip(0) is None
    tracker.report(JobUpdate(COMPLETE, jobs[0], 0))
    last = next_of(tracker)
    assert last.fetch_count == 0
    assert tracker.finished is False
    tracker.done(last, reply(), 0)
    assert tracker.finished


def test_unanswered_round_trips_are_searched_for_before_the_end() -> None:
    """A job that was fetched by a lost reply would otherwise stay locked after the worker's end."""
    tracker = JobTracker("w", 1)
    tracker.failed(next_of(tracker))
    tracker.close()
    assert not tracker.finished
    assert len(next_of(tracker).unanswered) == 1


async def test_each_change_wakes_all_that_wait_for_work() -> None:
    """A report wakes every waiting loop once; then they wait again."""
    tracker = JobTracker("w", 1)
    woken: list[int] = []

    async def wait(number: int) -> None:
        while True:
            await tracker.wait_for_work()
            woken.append(number)

    tasks = [asyncio.create_task(wait(number)) for number in range(2)]
    await asyncio.sleep(0)
    for _ in range(2):
        tracker.report(JobUpdate(PROGRESS, held("t"), 0))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    assert woken == [0, 1, 0, 1]


async def test_wait_until_idle_ends_when_the_queue_is_empty() -> None:
    """A tracker becomes idle with the first fetch that finds fewer jobs than it asked for."""
    tracker = JobTracker("w", 2)
    waiting = asyncio.create_task(tracker.wait_until_idle())
    tracker.done(next_of(tracker), reply(0), 0)
    async with asyncio.timeout(1):
        await waiting
    assert tracker.idle


def test_failed_calls_are_counted_until_a_round_trip_succeeds() -> None:
    """The count and the last error describe the outage that is going on now, if there is one."""
    tracker = JobTracker("w", 1)
    tracker.call_failed(ValueError("first"))
    tracker.call_failed(ValueError("second"))
    assert tracker.failures == 2
    assert tracker.last_error == "second"
    tracker.done(next_of(tracker), reply(), 0)
    assert tracker.failures == 0
    assert tracker.last_error == ""
