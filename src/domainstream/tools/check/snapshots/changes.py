"""What has changed in a payload since its snapshot, if it breaks readers."""

import re
from collections.abc import Iterator, Mapping
from typing import Final, Literal, NamedTuple

from domainstream.tools.check.model.snapshots import EventSnapshot, FieldSnapshot, ShapeSnapshot

Kind = Literal["removed", "retyped", "required", "narrowed"]
_WORD: Final = re.compile(r"\w+")
_INNERMOST: Final = re.compile(r"(\w+)\[([^\[\]]*)\]")
_ARRAYS: Final = frozenset({"list", "set", "frozenset", "Sequence", "MutableSequence", "Collection"})
_OBJECTS: Final = frozenset({"dict", "Mapping", "MutableMapping"})


class Change(NamedTuple):
    """One change that breaks a reader."""

    kind: Kind
    """What was done."""

    shape: str
    """The name of the class it was done to, as it is called now."""

    field: str
    """The field; empty for an enum."""

    message: str
    """The change in words."""


def changes_between(old: EventSnapshot, new: EventSnapshot) -> Iterator[Change]:
    """Yield what breaks readers; a class that only has another name breaks none."""
    left = [(old.payload, new.payload)]
    seen = set(left)
    while left:
        before, after = left.pop()
        was, now = old.types.get(before), new.types.get(after)
        if was is None or now is None:
            continue
        yield from _in_shape(after, was, now, (old, new))
        pairs = [pair for name in was.fields.keys() & now.fields.keys() for pair in _pairs(was, now, name, (old, new))]
        left += [pair for pair in pairs if pair not in seen]
        seen.update(pairs)


def _in_shape(
    name: str, was: ShapeSnapshot, now: ShapeSnapshot, whole: tuple[EventSnapshot, EventSnapshot]
) -> Iterator[Change]:
    gone = sorted(set(was.members or ()) - set(now.members or ()))
    if gone:
        yield Change("narrowed", name, "", f"{name} lost {', '.join(gone)}")
    for field, before in was.fields.items():
        after = now.fields.get(field)
        if after is None:
            yield Change("removed", name, field, f"{name}.{field} was removed")
        elif not _same_type(before, after, whole):
            message = f"{name}.{field} was {before.type} and is {after.type}"
            yield Change("retyped", name, field, message)
        elif after.required and not before.required:
            yield Change("required", name, field, f"{name}.{field} lost its default")
    for field, after in now.fields.items():
        if after.required and field not in was.fields:
            yield Change("required", name, field, f"{name}.{field} is new and has no default")


def _same_type(before: FieldSnapshot, after: FieldSnapshot, whole: tuple[EventSnapshot, EventSnapshot]) -> bool:
    """Tell whether two types are the same but for the names of classes that are compared on their own."""
    was, now = _on_the_wire(before.type), _on_the_wire(after.type)
    if was == now:
        return True
    old, new = whole
    words = list(zip(_WORD.findall(was), _WORD.findall(now), strict=False))
    return _WORD.sub("", was) == _WORD.sub("", now) and all(
        one == other or (_is_kind(old.types, one), _is_kind(new.types, other)) in {("enum", "enum"), ("class", "class")}
        for one, other in words
    )


def _on_the_wire(spelled: str) -> str:
    """Return a type with one word for all that is an array in JSON, and one for all that is an object."""
    count = 1
    while count:
        spelled, count = _INNERMOST.subn(_as_json, spelled)
    return spelled


def _as_json(found: re.Match[str]) -> str:
    name, inner = found.groups()
    if name == "tuple" and inner.endswith(", ..."):
        return f"list<{inner.removesuffix(', ...')}>"
    return f"{'list' if name in _ARRAYS else 'dict' if name in _OBJECTS else name}<{inner}>"


def _is_kind(types: Mapping[str, ShapeSnapshot], name: str) -> str:
    if name not in types:
        return ""
    return "class" if types[name].members is None else "enum"


def _pairs(
    was: ShapeSnapshot, now: ShapeSnapshot, field: str, whole: tuple[EventSnapshot, EventSnapshot]
) -> list[tuple[str, str]]:
    """Return the classes that a field leads to, then and now."""
    before, after = was.fields[field], now.fields[field]
    if not _same_type(before, after, whole):
        return []
    words = zip(*(_WORD.findall(_on_the_wire(one.type)) for one in (before, after)), strict=True)
    return [(one, other) for one, other in words if one in whole[0].types and other in whole[1].types]
