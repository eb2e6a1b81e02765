"""The worker's books: what the next turn is, and what is held."""

from itertools import count

import pytest
from support.working import held

from domainstream.worker.bullmq.job_update import COMPLETE, PROGRESS, JobUpdate
from domainstream.worker.bullmq.round_trip import RoundTrip, RoundTripReply
from domainstream.worker.bullmq.tracker import LARGEST, JobTracker

_numbers = count()


def reply(jobs: int = 0, limited_for: float = 0) -> RoundTripReply:
    """Return a reply with so many new jobs."""
    return RoundTripReply([], [held(f"token-{next(_numbers)}") for _ in range(jobs)], limited_for, 0, "")


def turn_of(tracker: JobTracker, now: float = 0) -> RoundTrip:
    """Return the next turn, which must be one."""
    turn = tracker.next_turn(now)
    assert turn is not None
    return turn


@pytest.mark.parametrize(("concurrency", "share"), [(1, 1), (3, 2), (10, 5), (14, 5), (50, 10), (1000, LARGEST)])
def test_a_turn_asks_for_a_part_of_what_may_be_held(concurrency: int, share: int) -> None:
    """So two or three turns share the work; a turn is never so large that it holds up the server."""
    assert turn_of(JobTracker("w", concurrency)).takes == share


def test_no_more_is_asked_for_than_may_be_held() -> None:
    """What is held and what is under way counts."""
    tracker = JobTracker("w", 8)
    tracker.done(turn_of(tracker), reply(4), 0)
    assert turn_of(tracker).takes == 4
    assert tracker.next_turn(0) is None


def test_several_turns_ask_only_where_there_is_plenty() -> None:
    """Until a turn got all that it asked for, it asks alone; then others ask beside it."""
    tracker = JobTracker("w", 50)
    first = turn_of(tracker)
    assert tracker.next_turn(0) is None
    tracker.done(first, reply(first.takes), 0)
    assert [turn_of(tracker).takes for _ in range(2)] == [10, 10]


def test_a_wake_while_a_turn_asks_is_not_lost() -> None:
    """The turn may have been too early for what the wake is about, so one more is asked when it brings too little."""
    tracker = JobTracker("w", 4)
    early = turn_of(tracker)
    tracker.wake()
    tracker.done(early, reply(), 0)
    assert tracker.idle.is_set() is False
    assert turn_of(tracker).takes == 2


def test_what_ends_makes_room_in_its_own_turn() -> None:
    """The server finishes before it takes, so that it never sees more active jobs than the concurrency."""
    tracker = JobTracker("w", 2)
    jobs = reply(2).jobs
    for job in jobs:
        tracker.done(turn_of(tracker), RoundTripReply([], [job], 0, 0, ""), 0)
    assert tracker.next_turn(0) is None
    tracker.tell(JobUpdate(COMPLETE, jobs[0], 0))
    turn = turn_of(tracker)
    assert len(turn.updates) == 1
    assert turn.takes == 1
    assert len(tracker.held) == 2
    tracker.done(turn, reply(), 0)
    assert list(tracker.held) == [jobs[1].token]


def test_progress_ends_nothing() -> None:
    """The job stays held, and makes no room."""
    tracker = JobTracker("w", 1)
    jobs = reply(1).jobs
    tracker.done(turn_of(tracker), RoundTripReply([], jobs, 0, 0, ""), 0)
    tracker.tell(JobUpdate(PROGRESS, jobs[0], 0))
    turn = turn_of(tracker)
    assert turn.takes == 0
    tracker.done(turn, reply(), 0)
    assert list(tracker.held) == [jobs[0].token]


def test_an_empty_queue_is_not_asked_again_until_something_happens() -> None:
    """A turn that brought fewer jobs than it asked for ends the asking; waking begins it anew."""
    tracker = JobTracker("w", 4)
    tracker.done(turn_of(tracker), reply(1), 0)
    assert tracker.idle.is_set() is True
    assert tracker.next_turn(0) is None
    tracker.wake()
    assert turn_of(tracker).takes == 2


def test_a_limit_ends_the_asking_for_a_while() -> None:
    """What has ended is told all the same."""
    tracker = JobTracker("w", 2)
    jobs = reply(1).jobs
    tracker.done(turn_of(tracker), RoundTripReply([], jobs, 1.5, 0, ""), 10)
    assert tracker.next_turn(11) is None
    assert tracker.idle.is_set() is False
    tracker.tell(JobUpdate(COMPLETE, jobs[0], 0))
    assert turn_of(tracker, 11).takes == 0
    assert turn_of(tracker, 11.6).takes == 1


def test_a_lost_answer_is_asked_for_again() -> None:
    """The steps are told again, now doubtful, before later ones; the jobs it may have brought are looked for."""
    tracker = JobTracker("w", 2)
    jobs = reply(1).jobs
    tracker.done(turn_of(tracker), RoundTripReply([], jobs, 0, 0, ""), 0)
    tracker.tell(JobUpdate(COMPLETE, jobs[0], 0))
    lost = turn_of(tracker)
    tracker.tell(JobUpdate(PROGRESS, jobs[0], 0))
    tracker.failed(lost)
    first, second = turn_of(tracker), turn_of(tracker)
    assert [(update.kind, update.doubtful) for update in first.updates] == [(COMPLETE, True)]
    assert [(update.kind, update.doubtful) for update in second.updates] == [(PROGRESS, False)]
    assert first.lost == [lost.tokens]
    assert second.lost == []
    assert (first.tokens != lost.tokens) is True


def test_what_was_lost_twice_is_looked_for_twice() -> None:
    """Until an answer comes."""
    tracker = JobTracker("w", 1)
    first = turn_of(tracker)
    tracker.failed(first)
    second = turn_of(tracker)
    tracker.failed(second)
    assert turn_of(tracker).lost == [first.tokens, second.tokens]


def test_a_closed_ledger_takes_nothing_and_is_over_when_all_is_told() -> None:
    """Jobs that are held, and answers that are not there, keep it open."""
    tracker = JobTracker("w", 1)
    turn = turn_of(tracker)
    tracker.close()
    assert not tracker.over
    jobs = reply(1).jobs
    tracker.done(turn, RoundTripReply([], jobs, 0, 0, ""), 0)
    assert tracker.over is False
    assert tracker.next_turn(0) is None
    tracker.tell(JobUpdate(COMPLETE, jobs[0], 0))
    last = turn_of(tracker)
    assert last.takes == 0
    assert tracker.over is False
    tracker.done(last, reply(), 0)
    assert tracker.over


def test_lost_turns_are_searched_for_before_the_end() -> None:
    """A job that nobody knows of would stay locked."""
    tracker = JobTracker("w", 1)
    tracker.failed(turn_of(tracker))
    tracker.close()
    assert not tracker.over
    assert len(turn_of(tracker).lost) == 1
