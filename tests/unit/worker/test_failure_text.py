"""What the log says of a failed attempt."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from support.consuming import evaluated

from domainstream.worker import EventContext, ReceivedJob
from domainstream.worker.failure_text import failure_line, pause_text
from domainstream.worker.prepared_call import PreparedCall

CONTEXT = EventContext("event-1", "price-stay", 1, "channel", "1-0", datetime.now(UTC), "stay-7")


async def price_stay(event: object, context: object) -> None:
    """Fail inside of a library."""
    json.loads("{a secret")


async def call() -> None:
    """Call the handler as a worker does."""
    await price_stay(None, None)


async def line_of(attempt: int = 1, attempts: int = 3) -> str:
    """Return what is said of the handler's failure."""
    handling = PreparedCall(evaluated(), price_stay, call, CONTEXT)
    try:
        await handling()
    except ValueError as error:
        return failure_line(error, handling, ReceivedJob("event-1", "job", attempt, "", attempts), "what follows")
    raise AssertionError


async def test_place_is_in_the_handler_and_not_in_what_it_calls() -> None:
    """The line to look at is the last one of the service's own; the message, which quotes the payload, stays out."""
    line = await line_of()
    assert f"JSONDecodeError at {__file__}:" in line
    assert line.endswith(" in price_stay, handling OptimizationEvaluated; what follows")
    assert "secret" not in line


def test_error_that_was_never_raised_has_no_place() -> None:
    """An error may come from somewhere else, as from another process."""
    handling = PreparedCall(evaluated(), price_stay, call, CONTEXT)
    job = ReceivedJob("event-1", "job", 1, "")
    assert "ValueError somewhere, handling" in failure_line(ValueError(), handling, job, "what follows")


@pytest.mark.parametrize(("attempt", "attempts", "said"), [(1, 3, "1 of 3"), (3, 3, "3 of 3"), (2, 1, "2 of 2")])
async def test_it_says_which_attempt_of_how_many(attempt: int, attempts: int, said: str) -> None:
    """A job that stalled may be at an attempt beyond its last."""
    assert (await line_of(attempt, attempts)).startswith(f"attempt {said} failed: ")


@pytest.mark.parametrize(
    ("pause", "said"),
    [
        (timedelta(seconds=2), "again in 2 s"),
        (timedelta(milliseconds=20), "again in 0.02 s"),
        (timedelta(), "again at once"),
        (None, "failed for good"),
    ],
)
def test_it_says_what_comes_next(pause: timedelta | None, said: str) -> None:
    """When the job comes again, if it does."""
    assert pause_text(pause) == said
