"""What a payload's type alone proves about its JSON, so that it need not be looked for in every message.

Called by `payload_codec`. A struct of texts and numbers can neither nest deeper than its type, nor repeat a key, nor
have the key `__proto__`; only its integers may still be too large for Node.js, and where those are is known as well.
"""

from collections.abc import Callable, Iterator
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec.inspect as types

_Record = types.StructType | types.DataclassType | types.TypedDictType | types.NamedTupleType
_Sequence = types.ListType | types.SetType | types.FrozenSetType | types.VarTupleType | types.CollectionType
_OPEN = (types.AnyType, types.CustomType, types.DictType, types.ExtType, types.RawType)


class PayloadTraits(NamedTuple):
    """What a payload type proves.

    Attributes:
        depth: How deep its JSON nests at the most.

        integers: Returns the integers of a payload; None when it has none.
    """

    depth: int
    integers: Callable[[Any], tuple[int | None, ...]] | None


def traits_of(payload_type: Any) -> PayloadTraits | None:
    """Return what the type proves; None for types with dictionaries, Any, pydantic models or nested integers."""
    info = types.type_info(payload_type)
    depth = _depth(info, ())
    if depth is None:
        return None
    if not _holds_integers(info):
        return PayloadTraits(depth, None)
    fields = info.fields if isinstance(info, types.StructType | types.DataclassType) else ()
    direct = [field.name for field in fields if _is_integer(field.type)]
    nested = any(_holds_integers(field.type) for field in fields if field.name not in direct)
    return PayloadTraits(depth, _getter(direct)) if direct and not nested else None


def _depth(info: types.Type, inside: tuple[type, ...]) -> int | None:
    """Return how deep the JSON of a type nests; None when the type does not tell, or contains itself."""
    if isinstance(info, _OPEN):
        return None
    if isinstance(info, _Record) and (info.cls in inside or _has_proto(info)):
        return None
    within = (*inside, info.cls) if isinstance(info, _Record) else inside
    depths = [_depth(part, within) for part in _parts(info)]
    known = [depth for depth in depths if depth is not None]
    if len(known) < len(depths):
        return None
    return max(known, default=0) + (0 if isinstance(info, types.UnionType) or not _is_container(info) else 1)


def _parts(info: types.Type) -> Iterator[types.Type]:
    if isinstance(info, _Record):
        yield from (field.type for field in info.fields)
    elif isinstance(info, _Sequence):
        yield info.item_type
    elif isinstance(info, types.TupleType):
        yield from info.item_types
    elif isinstance(info, types.UnionType):
        yield from info.types


def _is_container(info: types.Type) -> bool:
    return isinstance(info, _Record | _Sequence | types.TupleType)


def _has_proto(info: _Record) -> bool:
    return any(getattr(field, "encode_name", None) == "__proto__" for field in info.fields)


def _is_integer(info: types.Type) -> bool:
    if isinstance(info, types.UnionType):
        return all(isinstance(one, types.IntType | types.NoneType) for one in info.types)
    return isinstance(info, types.IntType)


def _holds_integers(info: types.Type) -> bool:
    return isinstance(info, types.IntType) or any(map(_holds_integers, _parts(info)))


def _getter(names: list[str]) -> Callable[[Any], tuple[int | None, ...]]:
    get: Callable[[Any], Any] = attrgetter(*names)
    return get if len(names) > 1 else lambda payload: (get(payload),)
