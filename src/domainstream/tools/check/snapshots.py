"""The committed snapshots of payloads, `contracts/{service}.json`, and what has changed since they were written.

A file has one object per event type, sorted, so that a change of one field is a change of one line.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final, Literal, NamedTuple

import msgspec

from domainstream.tools.check.findings import Location
from domainstream.tools.check.model.domain import Event, EventSnapshot, FieldSnapshot, Shape, ShapeSnapshot
from domainstream.tools.check.model.project import Project, Unreadable

Kind = Literal["removed", "retyped", "required", "narrowed"]
_REWRITE: Final = "correct it, or remove it and run domainstream schema snapshot"
_WORD: Final = re.compile(r"\w+")
_INNERMOST: Final = re.compile(r"(\w+)\[([^\[\]]*)\]")
_ARRAYS: Final = frozenset({"list", "set", "frozenset", "Sequence", "MutableSequence", "Collection"})
_OBJECTS: Final = frozenset({"dict", "Mapping", "MutableMapping"})

_decode = msgspec.json.Decoder(dict[str, EventSnapshot]).decode


class ReadSnapshots(NamedTuple):
    """What the folder of snapshots holds."""

    events: dict[str, EventSnapshot] | None
    """The events as they were; None when the folder has no snapshots."""

    unreadable: tuple[Unreadable, ...]
    """Files that are not snapshots."""


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


def read_snapshots(root: Path, folder: str) -> ReadSnapshots:
    """Return what the files of a folder say."""
    paths = sorted((root / folder).glob("*.json"))
    events: dict[str, EventSnapshot] = {}
    unreadable: list[Unreadable] = []
    for path in paths:
        try:
            events.update(_decode(path.read_bytes()))
        except (msgspec.DecodeError, OSError, RecursionError) as error:
            location = Location(path.relative_to(root).as_posix())
            unreadable.append(Unreadable(f"this is not a snapshot of payloads: {error}", _REWRITE, location))
    return ReadSnapshots(events if paths else None, tuple(unreadable))


def write_snapshots(project: Project, events: Iterable[Event]) -> list[str]:
    """Write the snapshots of `events`, a file for each service, and return the files that changed."""
    by_service: dict[str, dict[str, EventSnapshot]] = {}
    for event in events:
        snapshot = snapshot_of(event, project.shapes)
        if snapshot is not None and event.event_type is not None:
            by_service.setdefault(event.service, {})[event.event_type] = snapshot
    folder = project.root / project.settings.contracts
    folder.mkdir(parents=True, exist_ok=True)
    changed = []
    for service, own in by_service.items():
        path = folder / f"{service}.json"
        text = msgspec.json.format(msgspec.json.encode(own, order="deterministic"), indent=2) + b"\n"
        if not path.is_file() or path.read_bytes() != text:
            path.write_bytes(text)
            changed.append(path.relative_to(project.root).as_posix())
    return changed


def snapshot_of(event: Event, shapes: Mapping[str, Shape]) -> EventSnapshot | None:
    """Return an event as it is; None when its payload is not understood."""
    root = shapes.get(event.payload or "")
    if root is None or event.version is None:
        return None
    types: dict[str, ShapeSnapshot] = {}
    for shape in reachable(root, shapes):
        fields = {field.name: FieldSnapshot(field.annotation, field.required) for field in shape.fields}
        members = None if shape.members is None else sorted(shape.members)
        types[shape.name] = ShapeSnapshot(fields, members)
    return EventSnapshot(event.name, event.version, root.name, types)


def reachable(root: Shape, shapes: Mapping[str, Shape]) -> Iterator[Shape]:
    """Yield a shape and all that its fields lead to."""
    left, seen = [root], {root.symbol}
    while left:
        shape = left.pop()
        yield shape
        new = [shapes[symbol] for symbol in shape.uses if symbol in shapes and symbol not in seen]
        seen.update(used.symbol for used in new)
        left += new


def changes_between(old: EventSnapshot, new: EventSnapshot) -> Iterator[Change]:
    """Yield what breaks readers; a class that only has another name breaks none."""
    left = [(old.payload, new.payload)]
    seen = set(left)
    while left:
        before, after = left.pop()
        was, now = old.types.get(before), new.types.get(after)
        if was is None or now is None:
            continue
        yield from _changes_in_shape(after, was, now, (old, new))
        pairs: list[tuple[str, str]] = []
        for name in was.fields.keys() & now.fields.keys():
            # The classes of a retyped field are not compared: the field itself is the finding.
            if _same_type(was.fields[name], now.fields[name], (old, new)):
                words = (_WORD.findall(_on_the_wire(field.type)) for field in (was.fields[name], now.fields[name]))
                pairs += [pair for pair in zip(*words, strict=True) if pair[0] in old.types and pair[1] in new.types]
        left += [pair for pair in pairs if pair not in seen]
        seen.update(pairs)


def _changes_in_shape(
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


def _same_type(was_field: FieldSnapshot, now_field: FieldSnapshot, whole: tuple[EventSnapshot, EventSnapshot]) -> bool:
    """Return whether two types are the same but for the names of classes that are compared on their own."""
    was, now = _on_the_wire(was_field.type), _on_the_wire(now_field.type)
    if was == now:
        return True
    old, new = whole
    words = list(zip(_WORD.findall(was), _WORD.findall(now), strict=False))
    return _WORD.sub("", was) == _WORD.sub("", now) and all(
        before == after or (_kind(old.types, before), _kind(new.types, after)) in {("enum", "enum"), ("class", "class")}
        for before, after in words
    )


def _on_the_wire(spelled: str) -> str:
    """Return a type with one word for all that is an array in JSON, and one for all that is an object."""

    def as_json(match: re.Match[str]) -> str:
        name, inner = match.groups()
        if name == "tuple" and inner.endswith(", ..."):
            return f"list<{inner.removesuffix(', ...')}>"
        return f"{'list' if name in _ARRAYS else 'dict' if name in _OBJECTS else name}<{inner}>"

    count = 1
    while count:
        spelled, count = _INNERMOST.subn(as_json, spelled)
    return spelled


def _kind(types: Mapping[str, ShapeSnapshot], name: str) -> str:
    if name not in types:
        return ""
    return "class" if types[name].members is None else "enum"
