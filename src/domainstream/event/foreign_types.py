"""Values and types that msgspec does not know: pydantic models, and subclasses of plain types such as `str`.

msgspec compares classes exactly, so it refuses a `class StayId(str)`, pendulum's times, or those of a library that
freezes time. It asks the hooks of this module about them, which costs plain values nothing.
"""

from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import cache
from typing import Any, Final
from uuid import UUID

import msgspec

from domainstream.event.mismatch import ForeignMismatchError

_Rebuild = Callable[[Any, Any], Any]

# For each plain type, how to make an object of another class with the same value: of the plain class for the wire, of
# its subclass for a handler. The class's own methods are bypassed, since a subclass may format itself in another way.
# The classes are kept in a tuple, because libraries that freeze time replace those that are attributes of modules.
_PLAIN: Final[tuple[tuple[type, _Rebuild], ...]] = (
    (str, lambda cls, value: cls(str.__str__(value))),
    (int, lambda cls, value: cls(int.__int__(value))),
    (float, lambda cls, value: cls(float.__float__(value))),
    (bytes, lambda cls, value: cls(bytes.__bytes__(value))),
    (Decimal, lambda cls, value: cls(value)),
    (
        datetime,
        lambda cls, at: cls(
            at.year, at.month, at.day, at.hour, at.minute, at.second, at.microsecond, at.tzinfo, fold=at.fold
        ),
    ),
    (date, lambda cls, day: cls(day.year, day.month, day.day)),
    (time, lambda cls, at: cls(at.hour, at.minute, at.second, at.microsecond, at.tzinfo, fold=at.fold)),
    # Not by its days and seconds: those of a negative duration of pendulum have another sense.
    (timedelta, lambda cls, value: cls(microseconds=timedelta.__floordiv__(value, timedelta.resolution))),
    (UUID, lambda cls, value: cls(int=value.int)),
)


def plain_value(value: Any) -> Any:
    """Return an instance of a subclass of a plain type as an instance of the plain type itself.

    Raises `NotImplementedError` for any other value.
    """
    for plain, rebuild in _PLAIN:
        if isinstance(value, plain):
            return rebuild(plain, value)
    raise NotImplementedError


def plain_type_of(cls: Any) -> type | None:
    """Return the plain type that `cls` is a subclass of; None if it is something else."""
    return next((plain for plain, _ in _PLAIN if isinstance(cls, type) and issubclass(cls, plain)), None)


def write_foreign(value: Any) -> Any:
    """Convert a value to one that msgspec writes; an encoder's hook."""
    if not hasattr(value, "model_dump"):
        return plain_value(value)
    dumped = value.model_dump(mode="json", by_alias=True, warnings=False)
    model: Any = type(value)
    if _bytes_fields(model):
        dumped = _with_standard_base64(dumped, value.model_dump(by_alias=True, warnings=False))
    return dumped


def dump_foreign(value: Any) -> Any:
    """Convert a value as `write_foreign` does, but keep NaN, which JSON turns into null; the hook of comparisons."""
    return value.model_dump(warnings=False) if hasattr(value, "model_dump") else plain_value(value)


def read_foreign(expected_type: Any, value: Any) -> Any:
    """Convert plain JSON values to an instance of a type that msgspec does not know; a decoder's hook."""
    try:
        # Only from JSON does a strict model read a time, which has no type of its own there.
        if hasattr(expected_type, "model_validate_json"):
            return expected_type.model_validate_json(msgspec.json.encode(value))
        for plain, rebuild in _PLAIN:
            if isinstance(expected_type, type) and issubclass(expected_type, plain):
                return rebuild(expected_type, msgspec.convert(value, plain))
    except ValueError as error:
        raise ForeignMismatchError(expected_type, error, value) from None
    raise NotImplementedError


def foreign_type_problem(cls: Any) -> str | None:
    """Return why a type that msgspec does not know cannot be part of a payload; None if the hooks know it."""
    if not hasattr(cls, "model_validate_json"):
        if plain_type_of(cls) is not None:
            return None
        return (
            f"{getattr(cls, '__name__', cls)} has no form in JSON; use a struct, a dataclass, or a type that JSON has"
        )
    try:
        cls.model_rebuild()
    except Exception as error:  # noqa: BLE001 - pydantic raises errors of its own for types that it cannot use
        return f"pydantic cannot use it ({type(error).__name__}: {str(error).splitlines()[0]})"
    fields = [place for place, is_base64 in _bytes_fields(cls) if not is_base64]
    setting = 'model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")'
    return f"{' and '.join(fields)} would not be base64 on the wire; add {setting} to the model" if fields else None


@cache
def _bytes_fields(model: Any) -> frozenset[tuple[str, bool]]:
    """Return where a pydantic model has bytes, and whether its settings write and read them there as base64.

    Fields with a serializer of their own, such as `Base64Bytes`, do not count: their format is their own.
    """
    return frozenset(_bytes_in(model.__pydantic_core_schema__, model.__name__, is_base64=False))


def _bytes_in(schema: Any, place: str, *, is_base64: bool) -> Iterator[tuple[str, bool]]:
    if not isinstance(schema, dict) or "serialization" in schema:
        return
    if schema.get("type") == "bytes":
        yield place, is_base64
    if schema.get("type") == "model":
        config = schema.get("config", {})
        place = schema["cls"].__name__
        is_base64 = config.get("ser_json_bytes") == config.get("val_json_bytes") == "base64"
    for key, part in schema.items():
        if key == "fields" and isinstance(part, dict):
            for name, field in part.items():
                yield from _bytes_in(field, f"{place}.{name}", is_base64=is_base64)
        elif key not in {"metadata", "default", "config"}:
            for inner in part if isinstance(part, list) else (part,):
                yield from _bytes_in(inner, place, is_base64=is_base64)


def _with_standard_base64(dumped: Any, value: Any) -> Any:
    """Return what pydantic dumped, with bytes in the alphabet of every other payload; pydantic's is the URL's."""
    if isinstance(value, bytes):
        return b64encode(value).decode() if dumped == urlsafe_b64encode(value).decode() else dumped
    if isinstance(value, dict) and isinstance(dumped, dict):
        return dict(zip(dumped, map(_with_standard_base64, dumped.values(), value.values()), strict=True))
    if isinstance(value, Iterable) and isinstance(dumped, list):
        return list(map(_with_standard_base64, dumped, value))
    return dumped
