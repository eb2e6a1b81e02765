"""The worker's books: what the next turn is, and what is held."""

from itertools import count

import pytest
from support.working import held

from domainstream.worker.bullmq.job_update import COMPLETE, PROGRESS, Step
from domainstream.worker.bullmq.round_trip import Turn, TurnReply
from domainstream.worker.bullmq.tracker import LARGEST, Ledger

_numbers = count()


def reply(jobs: int = 0, limited_for: float = 0) -> TurnReply:
    """Return a reply with so many new jobs."""
    return TurnReply([], [held(f"token-{next(_numbers)}") for _ in range(jobs)], limited_for, 0, "")


def turn_of(ledger: Ledger, now: float = 0) -> Turn:
    """Return the next turn, which must be one."""
    turn = ledger.next_turn(now)
    assert turn is not None
    return turn


@pytest.mark.parametrize(("concurrency", "share"), [(1, 1), (3, 2), (10, 5), (14, 5), (50, 10), (1000, LARGEST)])
def test_a_turn_asks_for_a_part_of_what_may_be_held(concurrency: int, share: int) -> None:
    """So two or three turns share the work; a turn is never so large that it holds up the server."""
    assert turn_of(Ledger("w", concurrency)).takes == share


def test_no_more_is_asked_for_than_may_be_held() -> None:
    """What is held and what is under way counts."""
    ledger = Ledger("w", 8)
    ledger.done(turn_of(ledger), reply(4), 0)
    assert (turn_of(ledger).takes, ledger.next_turn(0)) == (4, None)


def test_several_turns_ask_only_where_there_is_plenty() -> None:
    """Until a turn got all that it asked for, it asks alone; then others ask beside it."""
    ledger = Ledger("w", 50)
    first = turn_of(ledger)
    assert ledger.next_turn(0) is None
    ledger.done(first, reply(first.takes), 0)
    assert [turn_of(ledger).takes for _ in range(2)] == [10, 10]


def test_a_wake_while_a_turn_asks_is_not_lost() -> None:
    """The turn may have been too early for what the wake is about, so one more is asked when it brings too little."""
    ledger = Ledger("w", 4)
    early = turn_of(ledger)
    ledger.wake()
    ledger.done(early, reply(), 0)
    assert (ledger.idle.is_set(), turn_of(ledger).takes) == (False, 2)


def test_what_ends_makes_room_in_its_own_turn() -> None:
    """The server finishes before it takes, so that it never sees more active jobs than the concurrency."""
    ledger = Ledger("w", 2)
    jobs = reply(2).jobs
    for job in jobs:
        ledger.done(turn_of(ledger), TurnReply([], [job], 0, 0, ""), 0)
    assert ledger.next_turn(0) is None
    ledger.tell(Step(COMPLETE, jobs[0], 0))
    turn = turn_of(ledger)
    assert (len(turn.steps), turn.takes, len(ledger.held)) == (1, 1, 2)
    ledger.done(turn, reply(), 0)
    assert list(ledger.held) == [jobs[1].token]


def test_progress_ends_nothing() -> None:
    """The job stays held, and makes no room."""
    ledger = Ledger("w", 1)
    jobs = reply(1).jobs
    ledger.done(turn_of(ledger), TurnReply([], jobs, 0, 0, ""), 0)
    ledger.tell(Step(PROGRESS, jobs[0], 0))
    turn = turn_of(ledger)
    assert turn.takes == 0
    ledger.done(turn, reply(), 0)
    assert list(ledger.held) == [jobs[0].token]


def test_an_empty_queue_is_not_asked_again_until_something_happens() -> None:
    """A turn that brought fewer jobs than it asked for ends the asking; waking begins it anew."""
    ledger = Ledger("w", 4)
    ledger.done(turn_of(ledger), reply(1), 0)
    assert (ledger.idle.is_set(), ledger.next_turn(0)) == (True, None)
    ledger.wake()
    assert turn_of(ledger).takes == 2


def test_a_limit_ends_the_asking_for_a_while() -> None:
    """What has ended is told all the same."""
    ledger = Ledger("w", 2)
    jobs = reply(1).jobs
    ledger.done(turn_of(ledger), TurnReply([], jobs, 1.5, 0, ""), 10)
    assert (ledger.next_turn(11), ledger.idle.is_set()) == (None, False)
    ledger.tell(Step(COMPLETE, jobs[0], 0))
    assert turn_of(ledger, 11).takes == 0
    assert turn_of(ledger, 11.6).takes == 1


def test_a_lost_answer_is_asked_for_again() -> None:
    """The steps are told again, now doubtful, before later ones; the jobs it may have brought are looked for."""
    ledger = Ledger("w", 2)
    jobs = reply(1).jobs
    ledger.done(turn_of(ledger), TurnReply([], jobs, 0, 0, ""), 0)
    ledger.tell(Step(COMPLETE, jobs[0], 0))
    lost = turn_of(ledger)
    ledger.tell(Step(PROGRESS, jobs[0], 0))
    ledger.failed(lost)
    first, second = turn_of(ledger), turn_of(ledger)
    assert [(step.kind, step.doubtful) for step in first.steps] == [(COMPLETE, True)]
    assert [(step.kind, step.doubtful) for step in second.steps] == [(PROGRESS, False)]
    assert (first.lost, second.lost, first.tokens != lost.tokens) == ([lost.tokens], [], True)


def test_what_was_lost_twice_is_looked_for_twice() -> None:
    """Until an answer comes."""
    ledger = Ledger("w", 1)
    first = turn_of(ledger)
    ledger.failed(first)
    second = turn_of(ledger)
    ledger.failed(second)
    assert turn_of(ledger).lost == [first.tokens, second.tokens]


def test_a_closed_ledger_takes_nothing_and_is_over_when_all_is_told() -> None:
    """Jobs that are held, and answers that are not there, keep it open."""
    ledger = Ledger("w", 1)
    turn = turn_of(ledger)
    ledger.close()
    assert not ledger.over
    jobs = reply(1).jobs
    ledger.done(turn, TurnReply([], jobs, 0, 0, ""), 0)
    assert (ledger.over, ledger.next_turn(0)) == (False, None)
    ledger.tell(Step(COMPLETE, jobs[0], 0))
    last = turn_of(ledger)
    assert (last.takes, ledger.over) == (0, False)
    ledger.done(last, reply(), 0)
    assert ledger.over


def test_lost_turns_are_searched_for_before_the_end() -> None:
    """A job that nobody knows of would stay locked."""
    ledger = Ledger("w", 1)
    ledger.failed(turn_of(ledger))
    ledger.close()
    assert not ledger.over
    assert len(turn_of(ledger).lost) == 1
