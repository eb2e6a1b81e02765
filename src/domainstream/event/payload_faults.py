"""Finds the value in a payload that cannot be published, and names its path; it runs when something looks wrong.

Paths name fields, but not dictionary keys, which are data.
"""

import math
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import cache
from itertools import chain
from types import NoneType
from typing import Any, Final
from uuid import UUID

import msgspec

_NAIVE: Final = "a datetime has no time zone; use datetime.now(UTC), or allow it with MessageLimits(allow_naive=True)"
_NOT_FINITE: Final = "a number is NaN or infinite, which JSON does not have; use None"
_ODD_OFFSET: Final = "an offset from UTC has seconds, which RFC 3339 does not have; use .astimezone(UTC)"
_HARMLESS: Final = frozenset({str, int, bool, NoneType, msgspec.UnsetType, bytes, date, timedelta, Decimal, UUID})
_TIMES: Final = (datetime, time)
_CHECKED: Final = (float, *_TIMES)
_SEQUENCES: Final = (list, tuple, set, frozenset)
_DEEPEST: Final = 100
"""How deep a value is searched for: deeper than a message may nest, and not endless where a value contains itself."""


def fault_of(payload: Any, *, allow_naive: bool) -> str | None:
    """Say where a payload holds a value that JSON would change silently; None if it holds none.

    That is NaN or an infinity, a datetime without time zone unless `allow_naive`, or an offset with seconds.
    """
    found = _fault(payload, allow_naive)
    return f"payload at ${found[0]}: {found[1]}" if found else None


def keeps_its_moment(value: datetime | time) -> bool:
    """Return whether the wire keeps a datetime's moment, or a time's offset: RFC 3339 has whole minutes only."""
    if value.tzinfo is UTC:
        return True
    offset = value.utcoffset()
    return isinstance(value, time) if offset is None else not (offset.seconds % 60 or offset.microseconds)


def unwritable(payload: Any, write: Callable[[Any], bytes]) -> str:
    """Return the path of the value in a payload that `write` fails to encode; `$` is the payload itself."""
    path, value = "$", payload
    for _ in range(_DEEPEST):
        found = next(((step, part) for step, part in _written_parts(value) if write_error(part, write)), None)
        if found is None:
            break
        path, value = path + found[0], found[1]
    return path


def _written_parts(value: Any) -> Iterable[tuple[str, Any]]:
    """Return the values directly inside of `value`, without fields that are unset."""
    return (part for part in _parts(value) if part[1] is not msgspec.UNSET or not part[0].startswith("."))


def fields_of(cls: Any) -> list[str]:
    """Return the field names of a msgspec Struct, dataclass, attrs class or pydantic model; none for other classes."""
    of_attrs = [attribute.name for attribute in getattr(cls, "__attrs_attrs__", ())]
    found = (getattr(cls, fields, ()) for fields in ("__struct_fields__", "__dataclass_fields__", "model_fields"))
    return [*chain.from_iterable(found), *of_attrs]


def _fault(value: Any, allow_naive: bool) -> tuple[str, str] | None:
    """Return the path of the first fault inside of `value`, and what it is."""
    if type(value) in _HARMLESS:
        return None
    if isinstance(value, _CHECKED):
        fault = _fault_of_leaf(value, allow_naive)
        return ("", fault) if fault else None
    for step, part in _searched_parts(value):
        if type(part) not in _HARMLESS and (found := _fault(part, allow_naive)) is not None:
            return step + found[0], found[1]
    return None


def _searched_parts(value: Any) -> Iterable[tuple[str, Any]]:
    """Return the values directly inside of `value`, and the keys of a dictionary that are times."""
    keys = [("[...]", key) for key in value if isinstance(key, _TIMES)] if isinstance(value, dict) else []
    return chain(keys, _parts(value))


def _fault_of_leaf(value: Any, allow_naive: bool) -> str | None:
    """Return what is wrong with a number or a time."""
    if isinstance(value, float):
        return None if math.isfinite(value) else _NOT_FINITE
    if keeps_its_moment(value):
        return None
    if value.utcoffset() is not None:
        return _ODD_OFFSET
    return None if allow_naive else _NAIVE


def _parts(value: Any) -> Iterable[tuple[str, Any]]:
    """Return the values directly inside of `value`, each with the last step of its path."""
    if isinstance(value, dict):
        return [("[...]", part) for part in value.values()]
    if isinstance(value, _SEQUENCES):
        return ((f"[{index}]", part) for index, part in enumerate(value))
    fields = [(step, getattr(value, name, msgspec.UNSET)) for name, step in _steps_of(value.__class__)]
    extra = getattr(value, "__pydantic_extra__", None)
    return [*fields, *(("[...]", part) for part in extra.values())] if extra else fields


@cache
def _steps_of(cls: Any) -> list[tuple[str, str]]:
    return [(name, f".{name}") for name in fields_of(cls)]


def write_error(value: Any, write: Callable[[Any], bytes]) -> Exception | None:
    """Return the error with which `write` fails to encode the value; None if it encodes it."""
    try:
        write(value)
    except Exception as error:  # noqa: BLE001 - a value may run any code of the user's
        return error
    return None
