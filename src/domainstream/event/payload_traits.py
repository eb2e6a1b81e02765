"""What a payload's type alone proves about its JSON, so that `guard_json` need not run for every message.

The JSON of a struct of strings and numbers cannot nest deeper than its type, repeat a key, or have the key `__proto__`.
Only its integers may still be too large for Node.js, and its times may have no time zone; the type says where those
are. The proof covers payloads as they are read back. What a producer passes may be of another type: a subclass, for
example, may have any fields.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, time
from enum import Enum
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec.inspect as types
from msgspec import UNSET

from domainstream.event.foreign_types import plain_type_of
from domainstream.event.json_guard import SAFE_INTEGER
from domainstream.event.payload_faults import keeps_its_moment

_Record = types.StructType | types.DataclassType | types.TypedDictType | types.NamedTupleType
_Sequence = types.ListType | types.SetType | types.FrozenSetType | types.VarTupleType | types.CollectionType
_SMALLEST = -SAFE_INTEGER
_DICTS = (types.DictType, getattr(types, "FrozenDictType", types.DictType))  # frozen ones exist from Python 3.15 on
_OPEN = (types.AnyType, types.CustomType, types.ExtType, types.RawType, *_DICTS)


class Times(Enum):
    """Where a payload may hold times, if its type does not say."""

    ANYWHERE = "anywhere"


TimesCheck = Callable[[Any], bool]
"""Returns whether all times of a payload keep their moment on the wire; fails if it is not of the declared type."""


class PayloadTraits(NamedTuple):
    """What a payload type proves."""

    depth: int
    """The deepest that its JSON can nest."""

    exact_in_node: Callable[[Any], bool] | None
    """Returns whether Node.js keeps all integers of a payload exact that was read back; None if the type has none."""


def traits_of(payload_type: Any) -> PayloadTraits | None:
    """Return what the type proves; None for types with dictionaries, `Any`, pydantic models or nested integers."""
    info = types.type_info(payload_type)
    depth = _depth(info, ())
    if depth is None:
        return None
    if not _holds_integers(info):
        return PayloadTraits(depth, None)
    fields = info.fields if isinstance(info, types.StructType | types.DataclassType) else ()
    direct = [field.name for field in fields if isinstance(_unwrapped(field.type), types.IntType)]
    nested = any(_holds_integers(field.type) for field in fields if field.name not in direct)
    if nested or not direct:
        return None
    return PayloadTraits(depth, _integers_check(attrgetter(*direct), single=len(direct) == 1))


def _integers_check(integers_of: Callable[[Any], Any], *, single: bool) -> Callable[[Any], bool]:
    """Return the check of a record's integers, each of which may be None or unset as far as its type allows."""
    if single:
        return lambda payload: type(number := integers_of(payload)) is not int or _SMALLEST <= number <= SAFE_INTEGER

    def check(payload: Any) -> bool:
        for number in integers_of(payload):
            if type(number) is int and not _SMALLEST <= number <= SAFE_INTEGER:
                return False
        return True

    return check


def times_of(payload_type: Any) -> TimesCheck | Times | None:
    """Return the check of a payload's times; None if its type has none, `ANYWHERE` if only a search can find them."""
    return _times(types.type_info(payload_type), ())


def _times(info: types.Type, inside: tuple[type, ...]) -> TimesCheck | Times | None:
    info = _unwrapped(info)
    if isinstance(info, types.CustomType):
        plain = plain_type_of(info.cls)
        return keeps_its_moment if plain in {datetime, time} else None if plain else Times.ANYWHERE
    if isinstance(info, types.DateTimeType | types.TimeType):
        return keeps_its_moment
    if isinstance(info, types.AnyType | types.ExtType | types.RawType):
        return Times.ANYWHERE
    if isinstance(info, _Record):
        if info.cls in inside:
            return Times.ANYWHERE
        inside = (*inside, info.cls)
    checks = [_times(part, inside) for part in parts_of(info)]
    return _check_of_parts(info, checks) if any(checks) else None


def _check_of_parts(info: types.Type, checks: list[TimesCheck | Times | None]) -> TimesCheck | Times:
    """Return the check of a container from those of its parts; of an object, the values' check is the last."""
    check = checks[-1]
    if isinstance(info, types.StructType | types.DataclassType | types.NamedTupleType) and Times.ANYWHERE not in checks:
        names = [field.name for field in info.fields]
        return _fields_check([(name, check) for name, check in zip(names, checks, strict=True) if callable(check)])
    if callable(check) and isinstance(info, (_Sequence, *_DICTS)):
        *keys, items = parts_of(info)
        keeps = check if _unwrapped(items) is items else lambda item: item is None or check(item)
        if not keys:
            return lambda value: all(map(keeps, value))
        if checks[0] is None:  # keys that are times need a search
            return lambda value: all(map(keeps, value.values()))
    return Times.ANYWHERE


def _fields_check(checks: list[tuple[str, TimesCheck]]) -> TimesCheck:
    """Return the check of a record's fields; each may be None or unset as far as its type allows."""
    values_of: Any = attrgetter(*[name for name, _ in checks])
    if len(checks) == 1:
        keeps = checks[0][1]
        if keeps is keeps_its_moment:  # most payloads have one time, in UTC
            return lambda record: (
                (at := values_of(record)) is None or at is UNSET or at.tzinfo is UTC or keeps_its_moment(at)
            )
        return lambda record: (value := values_of(record)) is None or value is UNSET or keeps(value)
    each = [keeps for _, keeps in checks]

    def check(record: Any) -> bool:
        for keeps, value in zip(each, values_of(record), strict=True):
            if value is not None and value is not UNSET and not keeps(value):
                return False
        return True

    return check


def _unwrapped(info: types.Type) -> types.Type:
    """Return `T` of `T | None`, without annotations; any other type as it is."""
    if isinstance(info, types.Metadata):
        return _unwrapped(info.type)
    if not isinstance(info, types.UnionType):
        return info
    members = [member for member in info.types if not isinstance(member, types.NoneType)]
    return _unwrapped(members[0]) if len(members) == 1 else info


def _depth(info: types.Type, inside: tuple[type, ...]) -> int | None:
    """Return how deep the JSON of a type nests; None when the type does not limit that, or proves nothing else."""
    if isinstance(info, _OPEN) or _has_unsafe_constant(info):
        return None
    if isinstance(info, _Record) and (
        info.cls in inside  # the type contains itself
        or any(getattr(field, "encode_name", None) == "__proto__" for field in info.fields)
    ):
        return None
    within = (*inside, info.cls) if isinstance(info, _Record) else inside
    depths = [_depth(part, within) for part in parts_of(info)]
    known = [depth for depth in depths if depth is not None]
    if len(known) < len(depths):
        return None
    return max(known, default=0) + isinstance(info, _Record | _Sequence | types.TupleType)


def parts_of(info: Any) -> Iterator[types.Type]:
    """Yield the types directly inside of a type."""
    if isinstance(info, _Record):
        yield from (field.type for field in info.fields)
    elif isinstance(info, _Sequence):
        yield info.item_type
    elif isinstance(info, _DICTS):
        yield from (info.key_type, info.value_type)
    elif isinstance(info, types.TupleType):
        yield from info.item_types
    elif isinstance(info, types.UnionType):
        yield from info.types
    elif isinstance(info, types.Metadata):
        yield info.type


def types_in(payload_type: Any) -> Iterator[types.Type]:
    """Yield all types inside of a type, and the type itself; each record class once."""
    left, seen = [types.type_info(payload_type)], set()
    while left:
        info = left.pop()
        cls = info.cls if isinstance(info, _Record) else None
        if cls is None or cls not in seen:
            seen.add(cls)
            yield info
            left += parts_of(info)


def _has_unsafe_constant(info: types.Type) -> bool:
    if isinstance(info, types.EnumType):
        values = [member.value for member in info.cls]
    else:
        values = list(info.values) if isinstance(info, types.LiteralType) else []
    return any(isinstance(value, int) and abs(value) > SAFE_INTEGER for value in values)


def _holds_integers(info: types.Type) -> bool:
    return isinstance(info, types.IntType) or any(map(_holds_integers, parts_of(info)))
