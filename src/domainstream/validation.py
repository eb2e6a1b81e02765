"""Checks for settings: each check returns a problem or None, and `raise_problems` reports all problems at once.

Settings are checked when they are created, so that a wrong unit shows at start-up and not when the value is first used.
A class calls the checks like this::

    def __post_init__(self) -> None:
        raise_problems("RetryPolicy", [*positive_fields(self), at_most(self, "first_delay", "longest_delay")])
"""

from collections.abc import Iterable
from dataclasses import fields
from datetime import timedelta
from types import NoneType
from typing import Any, Final, TypeVar, get_args

from domainstream.errors import ConfigurationError

NameT = TypeVar("NameT")

ZERO = timedelta()
_POSITIVE: Final[dict[Any, tuple[Any, str]]] = {
    int: (0, "a positive integer"),
    timedelta: (ZERO, "a positive timedelta"),
}


def plain_name(name: NameT) -> NameT:
    """Return a name as the plain string that it is equal to.

    A member of `class Queues(str, Enum)` equals its value, but is formatted as `Queues.X`, and a subclass of `str` may
    format as it likes: a key or a message made of it would have another name. Every name from outside (of a queue, job,
    channel, prefix, group, consumer, producer, service or transaction) passes through here where it comes in. What is
    not a string is returned as it is, for checks to refuse.
    """
    return str.__str__(name) if isinstance(name, str) else name  # type: ignore[return-value]


def raise_problems(subject: str, problems: Iterable[str | None]) -> None:
    """Raise a `ConfigurationError` about `subject` that lists all problems; do nothing if there are none.

    `problems` are the results of checks: a sentence for each that failed, None for each that passed.
    """
    failed = [problem for problem in problems if problem is not None]
    if failed:
        raise ConfigurationError(f"{subject} cannot be used:", failed)


def positive_fields(settings: Any, *, but: Iterable[str] = ()) -> list[str]:
    """Return one problem per int or timedelta field of the dataclass `settings` that is not positive.

    None is valid if the field's type allows it: it switches a limit off. The fields named in `but` are not checked.
    """
    problems = []
    for field in fields(settings):
        value, types = getattr(settings, field.name), get_args(field.type) or (field.type,)
        kind = next((kind for kind in _POSITIVE if kind in types), None)
        if kind is None or field.name in but or (value is None and NoneType in types):
            continue
        if (problem := positive(field.name, value, kind)) is not None:
            problems.append(problem)
    return problems


def positive(name: str, value: object, kind: type[int] | type[timedelta]) -> str | None:
    """Return a problem unless `value` is a positive int, or a positive timedelta."""
    zero, expected = _POSITIVE[kind]
    # A bool is an int to Python, but True as a limit is a mistake.
    if isinstance(value, kind) and not isinstance(value, bool) and value > zero:
        return None
    return f"{name} is {value if isinstance(value, timedelta) else repr(value)}, expected {expected}"


def at_most(settings: Any, name: str, limit: str) -> str | None:
    """Return a problem if the duration `name` of `settings` is longer than the duration `limit`.

    Values of other types are left to `positive_fields`.
    """
    duration, longest = getattr(settings, name), getattr(settings, limit)
    if isinstance(duration, timedelta) and isinstance(longest, timedelta) and duration > longest:
        return f"{name} ({duration}) is longer than {limit} ({longest})"
    return None
