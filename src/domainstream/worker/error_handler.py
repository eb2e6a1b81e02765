"""What an exception of a handler means for its job."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from domainstream.validation import raise_problems
from domainstream.worker.context import EventContext
from domainstream.worker.outcomes import Done, GiveUp, HandlerOutcome, RetryLater

Rule = HandlerOutcome | Callable[[Any, EventContext], HandlerOutcome | None] | None
"""An outcome, or a function of the error and the context that returns one; None is the default."""

_NO_RULES: Final[Mapping[type[BaseException], Rule]] = MappingProxyType({})
_EXAMPLE: Final = 'ErrorHandler({TimeoutError: RetryLater(5), KeyError: GiveUp("...")})'


class ErrorHandler:
    """Maps the types of exceptions to outcomes; given to a consumer as `EventConsumer(..., errors=...)`.

    Usage::

        errors = ErrorHandler({
            ConnectionError: RetryLater(delay=5),               # not counted as an attempt
            PermissionError: GiveUp("we may not"),              # failed for good
            AlreadyBooked: Done(),                              # somebody else has done it
            RateLimited: lambda error, context: RetryLater(error.retry_after),
        })

    The most specific type wins, as in `except` clauses that stand in the right order. The default, for types without a
    rule and for the rule None: the attempt counts as failed, the job comes again after its backoff, and has failed
    after its last attempt. `RetryLater` and `GiveUp` that a handler raises itself are not asked about.

    Subclasses may override `outcome_of` to decide otherwise. For many tasks at once; it must not block. An error
    handler that fails, or returns something else, is logged, and the default applies.
    """

    def __init__(self, rules: Mapping[type[BaseException], Rule] = _NO_RULES) -> None:
        """Decide by `rules`; raise `ConfigurationError` for keys that are no exceptions or values that are no rules."""
        raise_problems("ErrorHandler", [problem for item in rules.items() for problem in _problems(*item)])
        self._rules = dict(rules)

    def outcome_of(self, error: BaseException, context: EventContext) -> HandlerOutcome | None:
        """Return what becomes of the job whose handler raised `error`; None for the default."""
        for kind in type(error).__mro__:
            if kind in self._rules:
                rule = self._rules[kind]
                return rule if rule is None or isinstance(rule, HandlerOutcome) else rule(error, context)
        return None


def is_outcome(value: object) -> bool:
    """Tell whether a value is an outcome, or None for the default."""
    return value is None or isinstance(value, HandlerOutcome)


def _problems(kind: object, rule: object) -> list[str]:
    raised = isinstance(kind, type) and issubclass(kind, BaseException)
    wrong_kind = [] if raised else [f"{kind!r} is no class of exceptions; type: {_EXAMPLE}"]
    if is_outcome(rule) or (callable(rule) and rule not in (Done, RetryLater, GiveUp)):
        return wrong_kind
    name = getattr(rule, "__name__", repr(rule))
    return [*wrong_kind, f"{name} is no outcome, nor a function that returns one; type: {_EXAMPLE}"]
