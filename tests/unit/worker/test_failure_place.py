"""Where the log says that an attempt failed, and which attempt that was."""

import json
import re
from datetime import UTC, datetime

import pytest
from support.consuming import OptimizationEvaluated, evaluated
from support.handling import attempt_with, received

from domainstream.worker import EventContext, ReceivedJob
from domainstream.worker.failures import place_of
from domainstream.worker.outcomes import Failed
from domainstream.worker.prepared_call import PreparedCall

CONTEXT = EventContext("event-1", "price-stay", 1, "channel", "1-0", datetime.now(UTC), "stay-7")


async def price_stay(event: object, context: object) -> None:
    """Fail inside of a library."""
    json.loads("{a secret")


async def fail(event: OptimizationEvaluated, context: EventContext) -> None:
    """Fail in the handler itself."""
    raise ValueError


async def test_place_is_in_the_handler_and_not_in_what_it_calls() -> None:
    """The logged place is the last line of the handler's own package, not one of a library it called."""
    with pytest.raises(ValueError, match="Expecting property name") as raised:
        await PreparedCall(evaluated(), CONTEXT, price_stay).run()
    assert re.fullmatch(rf"{re.escape(__file__)}:\d+ in price_stay", place_of(raised.value, price_stay))


async def test_log_names_error_and_event_without_the_message(caplog: pytest.LogCaptureFixture) -> None:
    """The logged failure has the error's type and the event's class, but not the message, which quotes the payload."""
    await attempt_with(price_stay)
    assert f" error=JSONDecodeError where={__file__}:" in caplog.text
    assert " event=OptimizationEvaluated " in caplog.text
    assert "secret" not in caplog.text


def test_error_that_was_never_raised_has_no_place() -> None:
    """An error without a traceback, as one from another process, has no place."""
    assert place_of(ValueError(), price_stay) == "unknown"


async def test_log_says_which_attempt_of_how_many(caplog: pytest.LogCaptureFixture) -> None:
    """The log has the attempt and the number of attempts."""
    await attempt_with(fail, received(attempt=2, attempts=3))
    assert " attempt=2 attempts=3 " in caplog.text


@pytest.mark.parametrize(
    ("job", "said"),
    [
        (received(attempts=2, backoff=2000), "retried in 2 s"),
        (received(attempts=2, backoff=20), "retried in 0.02 s"),
        (received(attempts=2), "retried at once"),
    ],
)
async def test_log_says_what_follows(job: ReceivedJob, said: str, caplog: pytest.LogCaptureFixture) -> None:
    """The logged failure says whether and when the job is retried."""
    result = await attempt_with(fail, job)
    assert isinstance(result, Failed)
    assert caplog.messages[0].endswith(f" next={said}")
