"""How handling a job ends: the outcomes that a handler decides, and the results of attempts that follow from them.

A handler that returns has done its job. It raises `RetryLater` or `GiveUp` for the other two outcomes; any other
exception goes to the consumer's `ErrorHandler`. By default that counts a failed attempt, and the job is retried as it
was configured when it was added to the queue.

=====================================  ====================================
the handler                            the attempt
=====================================  ====================================
returns, or `Done`                     `Completed()`
`RetryLater(delay)`                    `Delayed(delay)`
`GiveUp(reason)`                       `Failed(reason, stack)`
any other error, attempts left         `Failed(message, stack, again_in)`
any other error, last attempt          `Failed(message, stack)`
no handler in this build               `Waiting(pause, reason)`
=====================================  ====================================

`domainstream.worker.bullmq` translates the results into script calls.
"""

from collections.abc import Callable, Mapping
from datetime import timedelta
from math import isfinite
from types import MappingProxyType
from typing import Any, Final, TypeGuard

from msgspec import Struct

from domainstream.validation import raise_problems
from domainstream.worker.context import EventContext

LONGEST: Final = timedelta(days=36_500)
"""A hundred years: later dates can overflow."""

_NO_REASON: Final = "the handler gave up without a reason"


class Done(Struct, frozen=True):
    """The job is done. Returning None means the same."""


class RetryLater(Exception):  # noqa: N818 - an outcome, not an error
    """The job is retried after a delay; this does not count as a failed attempt."""

    def __init__(self, delay: timedelta | float) -> None:
        """Retry after `delay`, a timedelta or a number of seconds.

        Raises `ConfigurationError` for a negative delay and for anything that is not a finite number, such as infinity.
        """
        raise_problems("RetryLater", [_delay_problem(delay)])
        self.delay = delay if isinstance(delay, timedelta) else timedelta(seconds=delay)
        """The shortest time until the job is retried."""
        super().__init__(f"retry in {self.delay}")


class GiveUp(Exception):  # noqa: N818 - an outcome, not an error
    """The job has failed permanently and must not be retried."""

    def __init__(self, reason: str) -> None:
        # A blank reason does not raise: that error would count as a failed attempt, and the job would be retried.
        self.reason = reason if reason.strip() else _NO_REASON
        """Why; stored with the failed job. A blank reason is replaced by a text that says so."""
        super().__init__(self.reason)


HandlerOutcome = Done | RetryLater | GiveUp
"""What a handler, or an error handler, decides about a job."""

Rule = HandlerOutcome | Callable[[Any, EventContext], HandlerOutcome | None] | None
"""An outcome, or a function of the error and the context that returns one; None means the default."""

_NO_RULES: Final[Mapping[type[BaseException], Rule]] = MappingProxyType({})
_EXAMPLE: Final = 'ErrorHandler({TimeoutError: RetryLater(5), KeyError: GiveUp("...")})'


class ErrorHandler:
    """Maps types of exceptions to outcomes; passed to a consumer as `EventConsumer(..., errors=...)`.

    Usage::

        errors = ErrorHandler({
            ConnectionError: RetryLater(delay=5),               # does not count as an attempt
            PermissionError: GiveUp("access denied"),           # failed permanently
            AlreadyBooked: Done(),                              # another process has done it
            RateLimited: lambda error, context: RetryLater(error.retry_after),
        })

    The most specific type wins, as with `except` clauses in the right order. The default applies to types without a
    rule and to the rule None: the attempt counts as failed, the job is retried after its backoff, and fails permanently
    after its last attempt. `RetryLater` and `GiveUp` raised by a handler never reach the error handler.

    Subclasses may override `outcome_of`. Many tasks call it concurrently, and it must not block. If it raises, or
    returns something that is not an outcome, that is logged and the default applies.
    """

    def __init__(self, rules: Mapping[type[BaseException], Rule] = _NO_RULES) -> None:
        """Decide by `rules`.

        Raises `ConfigurationError` for keys that are not exception classes and values that are not rules.
        """
        raise_problems("ErrorHandler", [problem for item in rules.items() for problem in _rule_problems(*item)])
        self._rules = dict(rules)

    def outcome_of(self, error: BaseException, context: EventContext) -> HandlerOutcome | None:
        """Return the outcome of the job whose handler raised `error`; None for the default."""
        for kind in type(error).__mro__:
            if kind in self._rules:
                rule = self._rules[kind]
                return rule if rule is None or isinstance(rule, HandlerOutcome) else rule(error, context)
        return None


class Completed(Struct, frozen=True, gc=False):
    """The job is done."""


class Delayed(Struct, frozen=True, gc=False):
    """The job is retried after a delay; the attempt does not count."""

    delay: timedelta
    """The shortest time until the job is retried."""


class Waiting(Struct, frozen=True, gc=False):
    """The job waits for a build that handles it; no attempt was made."""

    pause: timedelta
    """The time until the job is looked at again."""

    reason: str
    """Why this build does not handle it; BullMQ stores it with the job."""


class Failed(Struct, frozen=True, gc=False):
    """The attempt failed."""

    reason: str
    """The error's type and message; BullMQ stores it with the job."""

    stack: str
    """The traceback of the error and all its causes; BullMQ stores it with the job."""

    again_in: timedelta | None = None
    """The pause before the next attempt; None when the job has failed permanently."""


AttemptResult = Completed | Delayed | Waiting | Failed


def instance_of(value: Any) -> Any:
    """Return an instance for the classes `Done` and `GiveUp`, which need no argument to be understood; or `value`."""
    if value is Done:
        return Done()
    return GiveUp("") if value is GiveUp else value


def is_outcome(value: object) -> TypeGuard[HandlerOutcome | None]:
    """Return whether a value is an outcome, or None for the default."""
    return value is None or isinstance(value, HandlerOutcome)


def _rule_problems(kind: object, rule: object) -> list[str]:
    problems = []
    if not (isinstance(kind, type) and issubclass(kind, BaseException)):
        problems.append(f"{kind!r} is not an exception class; use {_EXAMPLE}")
    if not is_outcome(rule) and (not callable(rule) or rule in (Done, RetryLater, GiveUp)):
        name = getattr(rule, "__name__", repr(rule))
        problems.append(f"{name} is neither an outcome nor a function that returns one; use {_EXAMPLE}")
    return problems


def _delay_problem(delay: object) -> str | None:
    if isinstance(delay, timedelta):
        seconds = delay.total_seconds()
    elif isinstance(delay, int | float) and isfinite(delay):
        seconds = delay
    else:
        return f"delay is {delay!r}, expected a timedelta or a number of seconds; use RetryLater(delay=30)"
    if not 0 <= seconds <= LONGEST.total_seconds():
        return f"delay is {seconds} s, expected zero or more, and at most {LONGEST.days} days; use RetryLater(delay=30)"
    return None
