"""What an exception of a handler means for its job."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from support.consuming import OptimizationEvaluated
from support.handling import received, verdict_on

from domainstream.errors import ConfigurationError
from domainstream.worker import Done, ErrorHandler, EventContext, GiveUp, RetryLater
from domainstream.worker.attempt_result import AttemptResult, Completed, Delayed, Failed


class RateLimitedError(Exception):
    """An error that knows when to come again."""

    def __init__(self, retry_after: int) -> None:
        self.retry_after = retry_after
        super().__init__(f"in {retry_after} s")


async def result(error: BaseException, errors: ErrorHandler) -> AttemptResult:
    """Return how the first of two attempts ends whose handler raises `error`."""

    async def handler(event: OptimizationEvaluated, context: EventContext) -> None:
        raise error

    return await verdict_on(handler, received(attempts=2, backoff=500), errors=errors)


async def test_error_may_come_again_uncounted(caplog: pytest.LogCaptureFixture) -> None:
    """As if the handler had raised `RetryLater` itself, but the log tells of the error."""
    errors = ErrorHandler({ConnectionError: RetryLater(delay=5)})
    assert await result(ConnectionError(), errors) == Delayed(timedelta(seconds=5))
    assert "failed: ConnectionError at " in caplog.text
    assert caplog.messages[0].endswith("; again in 5 s, says the error handler")


async def test_error_may_fail_for_good(caplog: pytest.LogCaptureFixture) -> None:
    """The reason is the rule's, the trace is the error's."""
    failed = await result(PermissionError("door"), ErrorHandler({PermissionError: GiveUp("we may not")}))
    assert isinstance(failed, Failed)
    assert failed.reason == "we may not"
    assert failed.again_in is None
    assert "PermissionError: door" in failed.stack
    assert "failed: PermissionError at " in caplog.text
    assert caplog.messages[0].endswith("; failed for good, says the error handler")


async def test_error_may_mean_that_it_is_done(caplog: pytest.LogCaptureFixture) -> None:
    """As when somebody else has done it already."""
    assert await result(FileExistsError(), ErrorHandler({FileExistsError: Done()})) == Completed()
    assert caplog.messages[0].endswith("; done all the same, says the error handler")


async def test_rule_may_be_a_function_of_error_and_context() -> None:
    """It sees the error's own fields, and which try this is."""
    errors = ErrorHandler({RateLimitedError: lambda error, context: RetryLater(error.retry_after * context.attempt)})
    assert await result(RateLimitedError(7), errors) == Delayed(timedelta(seconds=7))


async def test_other_errors_use_up_attempts() -> None:
    """The default: again after the queue's backoff, with the error's message."""
    failed = await result(ValueError("why"), ErrorHandler({KeyError: GiveUp("no")}))
    assert isinstance(failed, Failed)
    assert failed.reason == "why"
    assert failed.again_in == timedelta(milliseconds=500)


@pytest.mark.parametrize("error", [FileNotFoundError(), ConnectionRefusedError()])
async def test_most_specific_type_wins(error: OSError) -> None:
    """In whatever order the rules stand; None exempts a type from the rule of its base."""
    rules: Mapping[type[BaseException], Any] = {
        Exception: GiveUp("anything"),
        OSError: GiveUp("anything of the system"),
        ConnectionError: None,
        FileNotFoundError: RetryLater(1),
    }
    for ordered in (rules, dict(reversed(list(rules.items())))):
        answer = await result(error, ErrorHandler(ordered))
        expected = Delayed(timedelta(seconds=1)) if isinstance(error, FileNotFoundError) else None
        assert answer == expected or (isinstance(answer, Failed) and answer.again_in is not None)


async def test_single_error_of_a_group_is_what_counts() -> None:
    """A task group wraps the error of its only failing task."""
    group = ExceptionGroup("tasks", [ExceptionGroup("inner", [ConnectionError()])])
    errors = ErrorHandler({ConnectionError: RetryLater(5)})
    assert await result(group, errors) == Delayed(timedelta(seconds=5))


async def test_group_of_several_errors_is_an_error_of_its_own() -> None:
    """Which of them should count nobody can say; a rule for groups can."""
    group = ExceptionGroup("tasks", [ConnectionError(), ValueError()])
    errors = ErrorHandler({ConnectionError: GiveUp("one"), ExceptionGroup: RetryLater(5)})
    assert await result(group, errors) == Delayed(timedelta(seconds=5))


@pytest.mark.parametrize("answer", [RetryLater(5), GiveUp("no")])
async def test_answers_of_the_handler_are_not_asked_about(answer: Exception) -> None:
    """A rule for all exceptions does not undo what a handler says itself."""
    mapped = await result(answer, ErrorHandler({Exception: Done()}))
    assert not isinstance(mapped, Completed)


async def test_subclass_may_decide_otherwise() -> None:
    """An error handler with rules of another kind."""

    class Patient(ErrorHandler):
        def outcome_of(self, error: BaseException, context: EventContext) -> RetryLater | None:
            return None if context.is_last_attempt else RetryLater(60)

    assert await result(ValueError(), Patient()) == Delayed(timedelta(minutes=1))


@pytest.mark.parametrize("raised", [RetryLater(5), GiveUp("no")])
async def test_answer_may_be_raised_as_in_a_handler(raised: Exception) -> None:
    """Both spellings mean the same."""

    def rule(error: ValueError, context: EventContext) -> None:
        raise raised

    answer = await result(ValueError(), ErrorHandler({ValueError: rule}))
    assert answer == Delayed(timedelta(seconds=5)) or (isinstance(answer, Failed) and answer.reason == "no")


@pytest.mark.parametrize(
    ("rule", "said"), [(lambda error, _: error.args[1], "failed with IndexError"), (lambda *_: 5, "returned a int")]
)
async def test_failing_error_handler_counts_as_the_default(
    rule: Any, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged, without the message, and the job comes again."""
    failed = await result(ValueError("why"), ErrorHandler({ValueError: rule}))
    assert isinstance(failed, Failed)
    assert failed.reason == "why"
    assert failed.again_in == timedelta(milliseconds=500)
    assert f"{said}; the default applies" in caplog.text


@pytest.mark.parametrize(
    "rules", [{"TimeoutError": RetryLater(5)}, {int: RetryLater(5)}, {KeyError: "no"}, {KeyError: GiveUp}]
)
def test_nonsense_is_refused(rules: Any) -> None:
    """Rules are checked when they are given, not at the first error."""
    with pytest.raises(ConfigurationError, match=r"type: ErrorHandler\(\{TimeoutError: RetryLater\(5\)"):
        ErrorHandler(rules)
