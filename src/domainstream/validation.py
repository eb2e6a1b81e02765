"""Settings that several stages share: frozen, checked when they are made, all problems reported at once.

Each field says what it is, its unit, its special values and its default. A stage's own settings live in the stage.
"""

from collections.abc import Iterable
from dataclasses import Field, fields
from datetime import timedelta
from types import NoneType
from typing import Any, Final, get_args

from domainstream.errors import ConfigurationError

ZERO = timedelta()
_KINDS: Final[dict[Any, tuple[Any, str]]] = {
    int: (0, "a whole number above zero"),
    timedelta: (ZERO, "a timedelta above zero"),
}


def raise_problems(what: str, problems: Iterable[str | None]) -> None:
    """Raise one `ConfigurationError` naming every problem, if there is any.

    `problems` holds a sentence for each check that failed and None for each that passed.
    """
    found = [problem for problem in problems if problem is not None]
    if found:
        raise ConfigurationError(f"{what} cannot be used:", found)


def positive_fields(settings: Any, *, but: Iterable[str] = ()) -> list[str]:
    """Say of each whole number and duration among the fields of `settings` that is not above zero, or something else.

    None is fine where the field's type has it: it switches a limit off. The fields `but` are not looked at.
    """
    named = [field for field in fields(settings) if field.name not in but]
    checked = [_not_above_zero(field, getattr(settings, field.name)) for field in named]
    return [problem for problem in checked if problem is not None]


def _not_above_zero(field: Field[Any], value: object) -> str | None:
    types = get_args(field.type) or (field.type,)
    kind = next((one for one in _KINDS if one in types), None)
    if kind is None or (value is None and NoneType in types):
        return None
    return positive(field.name, value, kind)


def positive(name: str, value: object, kind: type[int] | type[timedelta]) -> str | None:
    """Say what is wrong with a value that should be a whole number, or a duration, above zero."""
    zero, expected = _KINDS[kind]
    if isinstance(value, kind) and not isinstance(value, bool) and value > zero:
        return None
    return f"{name} is {value if isinstance(value, timedelta) else repr(value)}, expected {expected}"


def at_most(settings: Any, name: str, limit: str) -> str | None:
    """Say that the duration `name` is longer than the duration `limit`, if both are there and it is."""
    one, other = getattr(settings, name), getattr(settings, limit)
    if isinstance(one, timedelta) and isinstance(other, timedelta) and one > other:
        return f"{name} ({one}) is longer than {limit} ({other})"
    return None
