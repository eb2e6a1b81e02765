"""Compares two snapshots of an event: what of the change breaks readers, and what only makes the snapshot old.

Both sides count: the new code reads what the old code wrote, from streams, queues and dead letters; and the old code,
until it is replaced, reads what the new code writes.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

import msgspec

from domainstream.tools.check.model.contract import EventSnapshot, FieldSnapshot, ShapeSnapshot

Kind = Literal[
    "removed",
    "retyped",
    "required",
    "narrowed",
    "reshaped",
    "closed",
    "widened",
    "tightened",
    "loosened",
    "unrecorded",
    "marked",
]
"""What a change does; "unrecorded" breaks no reader, but a later change could break one unseen, and "marked" changes
nothing on the wire."""

HARMLESS: Final = frozenset({"unrecorded", "marked"})
"""The kinds that break no reader."""

Limits = Mapping[str, bool | int | float | str]
_WORD: Final = re.compile(r"\w+")
_BOUNDS: Final = (
    ("lower bound", "ge", "gt", 1),
    ("upper bound", "le", "lt", -1),
    ("min_length", "min_length", "", 1),
    ("max_length", "max_length", "", -1),
)
"""A bound, the keys that set it, and whether a higher one demands more."""


class Change(NamedTuple):
    """One change of what is written or read."""

    kind: Kind
    """What was done."""

    shape: str
    """The name of the class it was done to, as it is called now."""

    field: str
    """The field, as it is called now; empty where it was done to the class."""

    message: str
    """The change in words."""


@dataclass(frozen=True)
class Comparison:
    """Compares an event with its snapshot."""

    old: EventSnapshot
    """The event as it was."""

    new: EventSnapshot
    """The event as it is."""

    first_format_names: Mapping[tuple[str, str], str] | None = None
    """The names of the fields, by class and name, in files of format 1; None where the snapshot is newer than that."""

    def changes(self) -> Iterator[Change]:
        """Yield each change once; a class that only has another name is none."""
        left = [(self.old.payload, self.new.payload)]
        seen = set(left)
        while left:
            before, after = left.pop()
            was, now = self.old.types.get(before), self.new.types.get(after)
            if was is None or now is None:
                continue
            if self.first_format_names is not None:
                yield from self._unrecorded(after, was, now)
                was = self._completed(after, was, now)
            pairs = list(_paired_fields(was, now))
            yield from self._changes_in_shape(after, was, now, pairs)
            for old_name, new_name in pairs:
                # The classes of a retyped field are not compared: the field itself is the finding.
                if self._same_type(was.fields[old_name], now.fields[new_name]):
                    types = was.fields[old_name].type, now.fields[new_name].type
                    found = dict.fromkeys(zip(*map(_WORD.findall, types), strict=True))
                    known = [pair for pair in found if pair[0] in self.old.types and pair[1] in self.new.types]
                    left += [pair for pair in known if pair not in seen]
                    seen.update(known)

    def _unrecorded(self, name: str, was: ShapeSnapshot, now: ShapeSnapshot) -> Iterator[Change]:
        """Yield what a file of format 1 does not record."""
        names = self.first_format_names or {}
        plain = all(
            not field.constraints and not field.reads and names[name, given] == given
            for given, field in now.fields.items()
        )
        if not plain or not _is_known(was) or now != ShapeSnapshot(now.fields, members=now.members):
            message = f"{name} has names, limits or options that a snapshot of format 1 does not record"
            yield Change("unrecorded", name, "", message)

    def _completed(self, name: str, was: ShapeSnapshot, now: ShapeSnapshot) -> ShapeSnapshot:
        """Return what a file of format 1 records, with the rest as it is now."""
        names = self.first_format_names or {}
        now_called = {names[name, given]: given for given in now.fields}
        fields = {}
        for old_name, field in was.fields.items():
            # A field that has its name of then is that field, even where another one had its name.
            given = old_name if old_name in now.fields else now_called.get(old_name, old_name)
            same = now.fields.get(given, field)
            fields[given] = FieldSnapshot(field.type, field.required, same.constraints, same.reads, same.sensitive)
        fields |= {given: field for given, field in now.fields.items() if not names[name, given]}
        return msgspec.structs.replace(now, fields=fields, members=was.members if _is_known(was) else now.members)

    def _changes_in_shape(
        self, name: str, was: ShapeSnapshot, now: ShapeSnapshot, pairs: Sequence[tuple[str, str]]
    ) -> Iterator[Change]:
        yield from _changes_of_members(name, was, now)
        yield from _changes_of_form(name, was, now)
        for old_name, new_name in pairs:
            yield from self._changes_of_field(name, new_name, was.fields[old_name], now.fields[new_name])
            if old_name != new_name:
                yield Change("unrecorded", name, new_name, f"{name}.{old_name} is called {new_name}")
        gone = [field for field in was.fields if field not in dict(pairs)]
        added = [field for field in now.fields if field not in {new for _, new in pairs}]
        for field in gone:
            other = next((other for other in added if _letters(other) == _letters(field)), None)
            if other is None:
                yield Change("removed", name, field, f"{name}.{field} was removed")
            else:
                added.remove(other)
                yield Change("removed", name, other, f"{name}.{field} was renamed to {other}")
        for field in added:
            if now.fields[field].required:
                yield Change("required", name, field, f"{name}.{field} is new and has no default")
            elif was.closed:
                yield Change("closed", name, field, f"{name} took no unknown fields, and {name}.{field} is new")
            else:
                yield Change("unrecorded", name, field, f"{name}.{field} is new")

    def _changes_of_field(self, shape: str, name: str, before: FieldSnapshot, after: FieldSnapshot) -> Iterator[Change]:
        shown = f"{shape}.{name}"
        if not self._same_type(before, after):
            yield Change("retyped", shape, name, f"{shown} was {before.type} and is {after.type}")
        elif after.required and not before.required:
            yield Change("required", shape, name, f"{shown} lost its default")
        elif before.required and not after.required:
            yield Change("unrecorded", shape, name, f"{shown} has a default")
        if after.sensitive != before.sensitive:
            words = "is marked sensitive" if after.sensitive else "is not marked sensitive any more"
            yield Change("marked", shape, name, f"{shown} {words}")
        if after.reads != before.reads:
            reads = " or ".join(after.reads or [name])
            kind: Kind = "unrecorded" if name in (after.reads or [name]) else "removed"
            yield Change(kind, shape, name, f"{shown} is read as {reads}")
        if self._same_type(before, after):
            for place in sorted({*before.constraints, *after.constraints}):
                for kind, words in _compared(before.constraints.get(place, {}), after.constraints.get(place, {})):
                    yield Change(kind, shape, name, f"{shown}{place} {words}")

    def _same_type(self, was_field: FieldSnapshot, now_field: FieldSnapshot) -> bool:
        """Return whether two types are the same but for the names of classes that are compared on their own."""
        was, now = was_field.type, now_field.type
        if was == now:
            return True
        words = list(zip(_WORD.findall(was), _WORD.findall(now), strict=False))
        return _WORD.sub("", was) == _WORD.sub("", now) and all(
            before == after
            or (_kind(self.old.types, before), _kind(self.new.types, after)) in {("enum", "enum"), ("class", "class")}
            for before, after in words
        )


def _paired_fields(was: ShapeSnapshot, now: ShapeSnapshot) -> Iterator[tuple[str, str]]:
    """Yield the fields that are the same, by their names of then and now; in an array, the position decides."""
    yield from ((field, field) for field in was.fields if field in now.fields)
    if was.array is not None and now.array is not None:
        for old_name, new_name in zip(was.array, now.array, strict=False):
            if old_name not in now.fields and new_name not in was.fields:
                yield old_name, new_name


def _changes_of_members(name: str, was: ShapeSnapshot, now: ShapeSnapshot) -> Iterator[Change]:
    before, after = set(was.members or ()), set(now.members or ())
    if gone := before - after:
        yield Change("narrowed", name, "", f"{name} lost {_listed(gone)}")
    elif was.lenient and not now.lenient:
        yield Change("narrowed", name, "", f"{name} lost its _missing_, which read unknown values")
    if new := after - before:
        yield Change("unrecorded" if was.lenient else "widened", name, "", f"{name} gained {_listed(new)}")
    elif now.lenient and not was.lenient:
        yield Change("unrecorded", name, "", f"{name} reads unknown values")


def _changes_of_form(name: str, was: ShapeSnapshot, now: ShapeSnapshot) -> Iterator[Change]:
    if (was.array is None) != (now.array is None):
        words = "an object and is an array" if was.array is None else "an array and is an object"
        yield Change("reshaped", name, "", f"{name} was {words}")
    elif any((now.array or []).index(field) != place for place, field in _kept_elements(was, now)):
        before, after = ", ".join(was.array or []), ", ".join(now.array or [])
        yield Change("reshaped", name, "", f"the elements of {name} were {before} and are {after}")
    if was.tag != now.tag:
        before, after = (f"{tag.field}={tag.value!r}" if tag else "no tag" for tag in (was.tag, now.tag))
        # A tag that is new is like a field that is new: readers pass over it.
        harmless = was.tag is None and now.array is None and not was.closed
        yield Change("unrecorded" if harmless else "reshaped", name, "", f"{name} had {before} and has {after}")
    if was.computed != now.computed:
        before, after = (", ".join(options) or "no computed option" for options in (was.computed, now.computed))
        yield Change("reshaped", name, "", f"{name} had {before} and has {after}")
    if now.closed and not was.closed:
        yield Change("closed", name, "", f"{name} takes no unknown fields any more")
    elif was.closed and not now.closed:
        yield Change("unrecorded", name, "", f"{name} takes unknown fields")


def _kept_elements(was: ShapeSnapshot, now: ShapeSnapshot) -> Iterator[tuple[int, str]]:
    """Yield the elements of an array that it still has, with the positions that they had."""
    yield from ((place, field) for place, field in enumerate(was.array or []) if field in (now.array or []))


def _compared(was: Limits, now: Limits) -> Iterator[tuple[Kind, str]]:
    """Yield what became of each limit."""
    rest = (was.keys() | now.keys()) - {key for _, inclusive, strict, _ in _BOUNDS for key in (inclusive, strict)}
    for bound, inclusive, strict, direction in _BOUNDS:
        before, after = ({key: limits[key] for key in (inclusive, strict) if key in limits} for limits in (was, now))
        if before != after:
            harder = _harder(before, after, strict, direction)
            words = f"had {_shown(before, bound)} and has {_shown(after, bound)}"
            yield ("tightened" if harder else "loosened"), words
    for key in sorted(rest):
        if was.get(key) != now.get(key):
            before, after = ({key: limits[key]} if key in limits else {} for limits in (was, now))
            words = f"had {_shown(before, key)} and has {_shown(after, key)}"
            yield ("loosened" if key not in now or _divides(key, was, now) else "tightened"), words


def _harder(before: Limits, after: Limits, strict: str, direction: int) -> bool:
    """Return whether a bound demands more than before, or something that cannot be compared."""
    if not before or not after:
        return not before
    if any(isinstance(value, str) for value in [*before.values(), *after.values()]):
        return True
    old, new = (
        max((float(value) * direction, key == strict) for key, value in limits.items()) for limits in (before, after)
    )
    return new >= old


def _divides(key: str, was: Limits, now: Limits) -> bool:
    """Return whether every value was a multiple of what it has to be a multiple of now."""
    before, after = was.get(key), now.get(key)
    plain = isinstance(before, int | float) and isinstance(after, int | float)
    return key == "multiple_of" and plain and float(before or 0) % float(after or 1) == 0 and before is not None


def _shown(limits: Limits, bound: str) -> str:
    return ", ".join(f"{key}={value!r}" for key, value in limits.items()) or f"no {bound}"


def _listed(values: set[int | str]) -> str:
    return ", ".join(sorted(map(repr, values)))


def _letters(name: str) -> str:
    """Return a name as it is in every case style."""
    return name.replace("_", "").replace("-", "").lower()


def _is_known(shape: ShapeSnapshot) -> bool:
    """Return whether the values of all members are known."""
    return not any(isinstance(member, str) and member.startswith("= ") for member in shape.members or ())


def _kind(types: Mapping[str, ShapeSnapshot], name: str) -> str:
    if name not in types:
        return ""
    return "class" if types[name].members is None else "enum"
