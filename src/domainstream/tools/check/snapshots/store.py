"""Reads and writes the committed snapshots of payloads, `contracts/{service}.json`.

A file has one object per event type, sorted, so that a change of one field is a change of one line.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from domainstream.tools.check.findings import Location
from domainstream.tools.check.model.domain import Event, Shape
from domainstream.tools.check.model.project import Project, Unreadable
from domainstream.tools.check.model.snapshots import EventSnapshot, FieldSnapshot, ShapeSnapshot

_REWRITE: Final = "correct it, or remove it and run domainstream schema snapshot"


_decode = msgspec.json.Decoder(dict[str, EventSnapshot]).decode


class ReadSnapshots(NamedTuple):
    """What the folder of snapshots holds."""

    events: dict[str, EventSnapshot] | None
    """The events as they were; None when the folder has no snapshots."""

    unreadable: tuple[Unreadable, ...]
    """Files that are not snapshots."""


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


def snapshot_of(event: Event, shapes: Mapping[str, Shape]) -> EventSnapshot | None:
    """Return an event as it is; None when its payload is not understood."""
    root = shapes.get(event.payload or "")
    if root is None or event.version is None:
        return None
    types = {shape.name: _shape(shape) for shape in reachable(root, shapes)}
    return EventSnapshot(event.name, event.version, root.name, types)


def reachable(root: Shape, shapes: Mapping[str, Shape]) -> Iterator[Shape]:
    """Yield a shape and all that its fields lead to."""
    left, seen = [root], {root.symbol}
    while left:
        shape = left.pop()
        yield shape
        new = [shapes[symbol] for symbol in shape.uses if symbol in shapes and symbol not in seen]
        seen.update(one.symbol for one in new)
        left += new


def _shape(shape: Shape) -> ShapeSnapshot:
    if shape.members is not None:
        return ShapeSnapshot(members=sorted(shape.members))
    return ShapeSnapshot({field.name: FieldSnapshot(field.annotation, field.required) for field in shape.fields})


def write_snapshots(project: Project, events: Iterable[Event]) -> list[str]:
    """Write the snapshots of `events`, a file for each service, and return the files that changed."""
    by_service: dict[str, dict[str, EventSnapshot]] = {}
    for event in events:
        snapshot = snapshot_of(event, project.shapes)
        if snapshot is not None and event.event_type is not None:
            by_service.setdefault(event.service, {})[event.event_type] = snapshot
    folder = project.root / project.settings.contracts
    folder.mkdir(parents=True, exist_ok=True)
    files = {folder / f"{service}.json": _text(own) for service, own in by_service.items()}
    return [path.relative_to(project.root).as_posix() for path, text in files.items() if _write(path, text)]


def _text(events: Mapping[str, EventSnapshot]) -> bytes:
    ordered = msgspec.json.encode(events, order="deterministic")
    return msgspec.json.format(ordered, indent=2) + b"\n"


def _write(path: Path, text: bytes) -> bool:
    if path.is_file() and path.read_bytes() == text:
        return False
    path.write_bytes(text)
    return True
