"""Say why a payload cannot be written, without quoting it."""

import math
from collections.abc import Iterator
from typing import Any, is_typeddict

import msgspec

from domainstream.event.mismatch import Mismatch


def problem_of(payload: Any, payload_type: Any, error: Exception) -> str:
    """Return what is wrong with a payload whose writing, or reading back, failed with `error`."""
    if isinstance(error, UnicodeEncodeError):
        return "payload or another text of the event holds a lone surrogate, which is not Unicode"
    if not isinstance(error, msgspec.ValidationError):
        return f"payload holds a value that cannot be written ({type(error).__name__}); use types that JSON knows"
    if _of_another_class(payload, payload_type):
        return f"payload is {type(payload).__name__}, expected {payload_type.__name__}"
    return non_finite_problem(payload) or _mismatch(error)


def non_finite_problem(payload: Any) -> str | None:
    """Return what is wrong with a payload that holds NaN or an infinity, which would be written as null; else None."""
    where = next(_non_finite(payload, "$"), None)
    return f"payload at {where}: a number is NaN or infinite, which JSON does not know; use None" if where else None


def _mismatch(error: msgspec.ValidationError) -> str:
    mismatch = Mismatch.of(error)
    return f"payload at ${mismatch.path.removeprefix('$.data')}: expected {mismatch.expected}, got {mismatch.got}"


def _non_finite(value: Any, path: str) -> Iterator[str]:
    """Yield where `value` holds such a number. Fields are named; the keys of dictionaries are data."""
    if isinstance(value, float):
        if not math.isfinite(value):
            yield path
    elif isinstance(value, dict):
        for one in value.values():
            yield from _non_finite(one, f"{path}[...]")
    elif isinstance(value, list | tuple):
        for index, one in enumerate(value):
            yield from _non_finite(one, f"{path}[{index}]")
    else:
        for name in _field_names(value):
            yield from _non_finite(getattr(value, name, None), f"{path}.{name}")


def _field_names(value: Any) -> Iterator[str]:
    """Yield the fields of a msgspec Struct, dataclass, attrs class or pydantic model; nothing for what has none."""
    for fields in ("__struct_fields__", "__dataclass_fields__", "model_fields"):
        yield from getattr(type(value), fields, ())
    yield from (attribute.name for attribute in getattr(type(value), "__attrs_attrs__", ()))


def _of_another_class(payload: Any, payload_type: Any) -> bool:
    """Tell whether both are classes of records and not the same; a dictionary may stand for any record."""
    if not isinstance(payload_type, type) or is_typeddict(payload_type):
        return False
    return any(True for _ in _field_names(payload)) and not isinstance(payload, payload_type)
