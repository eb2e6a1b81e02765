"""What a payload's type alone proves about its JSON, so that `guard_json` need not run for every message.

The JSON of a struct of strings and numbers cannot nest deeper than its type, repeat a key, or have the key `__proto__`.
Only its numbers may still be too large for Node.js, and the type says where those are. The proof does not cover values
of another type: a subclass, for example, may have any fields.
"""

from collections.abc import Callable, Iterable, Iterator
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec.inspect as types

from domainstream.event.json_guard import SAFE_INTEGER

_Record = types.StructType | types.DataclassType | types.TypedDictType | types.NamedTupleType
_Sequence = types.ListType | types.SetType | types.FrozenSetType | types.VarTupleType | types.CollectionType
_Number = types.IntType | types.FloatType
_OPEN = (types.AnyType, types.CustomType, types.DictType, types.ExtType, types.RawType)


class PayloadTraits(NamedTuple):
    """What a payload type proves."""

    depth: int
    """The deepest that its JSON can nest."""

    numbers: Callable[[Any], tuple[float | None, ...]] | None
    """Returns the numbers of a payload, including floats, because Python accepts an integer where a float is declared.
    None if the type has no numbers.
    """

    def safe_for_node(self, payloads: Iterable[Any]) -> bool:
        """Return whether all numbers of the payloads are in the range in which Node.js keeps integers exact."""
        if self.numbers is None:
            return True
        for payload in payloads:
            for number in self.numbers(payload):
                if number is not None and not -SAFE_INTEGER <= number <= SAFE_INTEGER:
                    return False
        return True


def traits_of(payload_type: Any) -> PayloadTraits | None:
    """Return what the type proves; None for types with dictionaries, `Any`, pydantic models or nested numbers."""
    info = types.type_info(payload_type)
    depth = _depth(info, ())
    if depth is None:
        return None
    if not _holds_numbers(info):
        return PayloadTraits(depth, None)
    fields = info.fields if isinstance(info, types.StructType | types.DataclassType) else ()
    direct = [field.name for field in fields if _is_number(field.type)]
    nested = any(_holds_numbers(field.type) for field in fields if field.name not in direct)
    if nested or not direct:
        return None
    numbers_of = attrgetter(*direct) if len(direct) > 1 else lambda payload: (getattr(payload, direct[0]),)
    return PayloadTraits(depth, numbers_of)


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
    depths = [_depth(part, within) for part in _parts(info)]
    known = [depth for depth in depths if depth is not None]
    if len(known) < len(depths):
        return None
    return max(known, default=0) + isinstance(info, _Record | _Sequence | types.TupleType)


def _parts(info: types.Type) -> Iterator[types.Type]:
    if isinstance(info, _Record):
        yield from (field.type for field in info.fields)
    elif isinstance(info, _Sequence):
        yield info.item_type
    elif isinstance(info, types.TupleType):
        yield from info.item_types
    elif isinstance(info, types.UnionType):
        yield from info.types


def _has_unsafe_constant(info: types.Type) -> bool:
    if isinstance(info, types.EnumType):
        values = [member.value for member in info.cls]
    else:
        values = list(info.values) if isinstance(info, types.LiteralType) else []
    return any(isinstance(value, int) and abs(value) > SAFE_INTEGER for value in values)


def _is_number(info: types.Type) -> bool:
    if isinstance(info, types.UnionType):
        return all(isinstance(member, _Number | types.NoneType) for member in info.types)
    return isinstance(info, _Number)


def _holds_numbers(info: types.Type) -> bool:
    return isinstance(info, _Number) or any(map(_holds_numbers, _parts(info)))
