"""What a handler's exception means for its job."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from support.consuming import OptimizationEvaluated
from support.handling import attempt_with, received

from domainstream.errors import ConfigurationError
from domainstream.worker import Done, ErrorHandler, EventContext, GiveUp, RetryLater
from domainstream.worker.outcomes import AttemptResult, Completed, Delayed, Failed


class RateLimitedError(Exception):
    """An error that says when to retry."""

    def __init__(self, retry_after: int) -> None:
        self.retry_after = retry_after
        super().__init__(f"in {retry_after} s")


async def result(error: BaseException, errors: ErrorHandler) -> AttemptResult:
    """Return how the first of two attempts ends whose handler raises `error`."""

    async def handler(event: OptimizationEvaluated, context: EventContext) -> None:
        raise error

    return await attempt_with(handler, received(attempts=2, backoff=500), errors=errors)


async def test_error_may_be_retried_uncounted(caplog: pytest.LogCaptureFixture) -> None:
    """A rule may turn an error into `RetryLater`, and the error is logged."""
    errors = ErrorHandler({ConnectionError: RetryLater(delay=5)})
    assert await result(ConnectionError(), errors) == Delayed(timedelta(seconds=5))
    assert "worker.attempt_failed " in caplog.text
    assert " error=ConnectionError where=/" in caplog.text
    assert caplog.messages[0].endswith(" next=retried in 5 s, by the error handler")


async def test_error_may_fail_permanently(caplog: pytest.LogCaptureFixture) -> None:
    """A rule may turn an error into `GiveUp`; the job keeps the rule's reason and the error's traceback."""
    failed = await result(PermissionError("door"), ErrorHandler({PermissionError: GiveUp("we may not")}))
    assert isinstance(failed, Failed)
    assert failed.reason == "we may not"
    assert failed.again_in is None
    assert "PermissionError: door" in failed.stack
    assert "worker.job_failed " in caplog.text
    assert " error=PermissionError where=/" in caplog.text


async def test_error_may_mean_that_it_is_done(caplog: pytest.LogCaptureFixture) -> None:
    """A rule may turn an error into `Done`, as when another process has done the work already."""
    assert await result(FileExistsError(), ErrorHandler({FileExistsError: Done()})) == Completed()
    assert caplog.messages[0].endswith(" next=completed, by the error handler")


async def test_rule_may_be_a_function_of_error_and_context() -> None:
    """A rule that is a function gets the error and the context."""
    errors = ErrorHandler({RateLimitedError: lambda error, context: RetryLater(error.retry_after * context.attempt)})
    assert await result(RateLimitedError(7), errors) == Delayed(timedelta(seconds=7))


async def test_other_errors_use_up_attempts() -> None:
    """An error without a rule is retried after the job's backoff, with the error's type and message."""
    failed = await result(ValueError("why"), ErrorHandler({KeyError: GiveUp("no")}))
    assert isinstance(failed, Failed)
    assert failed.reason == "ValueError: why"
    assert failed.again_in == timedelta(milliseconds=500)


@pytest.mark.parametrize("error", [FileNotFoundError(), ConnectionRefusedError()])
async def test_most_specific_type_wins(error: OSError) -> None:
    """The most specific rule applies in any order; None exempts a type from the rule of its base."""
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
    """A group that holds one error, as of a task group, counts as that error."""
    group = ExceptionGroup("tasks", [ExceptionGroup("inner", [ConnectionError()])])
    errors = ErrorHandler({ConnectionError: RetryLater(5)})
    assert await result(group, errors) == Delayed(timedelta(seconds=5))


async def test_group_of_several_errors_is_an_error_of_its_own() -> None:
    """A group of several errors matches only rules for groups."""
    group = ExceptionGroup("tasks", [ConnectionError(), ValueError()])
    errors = ErrorHandler({ConnectionError: GiveUp("one"), ExceptionGroup: RetryLater(5)})
    assert await result(group, errors) == Delayed(timedelta(seconds=5))


@pytest.mark.parametrize("answer", [RetryLater(5), GiveUp("no")])
async def test_outcomes_of_the_handler_bypass_the_error_handler(answer: Exception) -> None:
    """A rule for all exceptions does not apply to an outcome that the handler raised."""
    mapped = await result(answer, ErrorHandler({Exception: Done()}))
    assert not isinstance(mapped, Completed)


async def test_subclass_may_decide_otherwise() -> None:
    """A subclass that overrides `outcome_of` decides by its own logic."""

    class Patient(ErrorHandler):
        def outcome_of(self, error: BaseException, context: EventContext) -> RetryLater | None:
            return None if context.is_last_attempt else RetryLater(60)

    assert await result(ValueError(), Patient()) == Delayed(timedelta(minutes=1))


@pytest.mark.parametrize(("returned", "reason"), [(Done, None), (GiveUp, "the handler gave up without a reason")])
async def test_rule_may_return_a_class_that_needs_no_argument(returned: Any, reason: str | None) -> None:
    """The classes `Done` and `GiveUp` count as their instances."""
    decided = await result(ValueError(), ErrorHandler({ValueError: lambda *_: returned}))
    assert decided == Completed() if reason is None else isinstance(decided, Failed) and decided.reason == reason


@pytest.mark.parametrize("raised", [RetryLater(5), GiveUp("no")])
async def test_rule_may_raise_an_outcome(raised: Exception) -> None:
    """A rule may raise an outcome instead of returning it."""

    def rule(error: ValueError, context: EventContext) -> None:
        raise raised

    answer = await result(ValueError(), ErrorHandler({ValueError: rule}))
    assert answer == Delayed(timedelta(seconds=5)) or (isinstance(answer, Failed) and answer.reason == "no")


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (lambda error, _: error.args[1], "raised IndexError"),
        (lambda *_: 5, "returned int, which is not an outcome"),
        (lambda *_: RetryLater, "returned the class RetryLater, which is not an outcome"),
    ],
)
async def test_failing_error_handler_counts_as_the_default(
    rule: Any, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A failing error handler is logged without its error's message, and the default applies."""
    failed = await result(ValueError("why"), ErrorHandler({ValueError: rule}))
    assert isinstance(failed, Failed)
    assert failed.reason == "ValueError: why"
    assert failed.again_in == timedelta(milliseconds=500)
    about = "worker.error_handler_failed queue=valuation job=event-1 name=price-stay"
    assert f"{about} reason=the error handler {said}; the default applies" in caplog.text


@pytest.mark.parametrize(
    "rules", [{"TimeoutError": RetryLater(5)}, {int: RetryLater(5)}, {KeyError: "no"}, {KeyError: GiveUp}]
)
def test_invalid_rules_are_rejected(rules: Any) -> None:
    """Rules are checked when the error handler is made, not at the first error."""
    with pytest.raises(ConfigurationError, match=r"use ErrorHandler\(\{TimeoutError: RetryLater\(5\)"):
        ErrorHandler(rules)
