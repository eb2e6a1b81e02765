"""The committed snapshots of payloads, `contracts/{service}.json`: reads, makes and writes them.

A file has one object per event type, sorted, so that a change of one field is a change of one line.
`docs/contract-files.md` documents the format, of which there have been two: the first had no number, knew neither how a
class is written nor what values must satisfy, and held the values of enums as they are spelled in Python.
"""

import ast
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple

import msgspec

from domainstream.tools.check.comparing import Comparison
from domainstream.tools.check.findings import Location
from domainstream.tools.check.model.contract import (
    FORMAT,
    ContractFile,
    EventSnapshot,
    FieldSnapshot,
    ShapeSnapshot,
    TagSnapshot,
)
from domainstream.tools.check.model.domain import Event, Shape
from domainstream.tools.check.model.project import Project, SnapshotFile, Unreadable
from domainstream.tools.check.reading.symbols import last_part
from domainstream.tools.check.reading.types import on_the_wire

_WORD: Final = re.compile(r"\w+")
_REWRITE: Final = "correct it, or remove it and run domainstream schema snapshot"
_UPGRADE: Final = "install the version of domainstream that wrote it, or a newer one"


class _Numbered(msgspec.Struct):
    format: int = 1


_number_of = msgspec.json.Decoder(_Numbered).decode
_decode = msgspec.json.Decoder(ContractFile).decode
_decode_first_format = msgspec.json.Decoder(dict[str, EventSnapshot]).decode


class ReadSnapshots(NamedTuple):
    """What the folder of snapshots holds."""

    events: dict[str, EventSnapshot] | None
    """The events as they were; None when the folder has no snapshots."""

    files: dict[str, SnapshotFile]
    """The file of each of them."""

    unreadable: tuple[Unreadable, ...]
    """Files that are not snapshots."""


def read_snapshots(root: Path, folder: str) -> ReadSnapshots:
    """Return what the files of a folder say."""
    paths = sorted((root / folder).glob("*.json"))
    events: dict[str, EventSnapshot] = {}
    files: dict[str, SnapshotFile] = {}
    unreadable: list[Unreadable] = []
    for path in paths:
        shown = path.relative_to(root).as_posix()
        try:
            text = path.read_bytes()
            number = _number_of(text).format
            own = {} if number > FORMAT else _first_format(text) if number == 1 else _decode(text).events
        except (msgspec.DecodeError, OSError, RecursionError) as error:
            unreadable.append(Unreadable(f"this is not a snapshot of payloads: {error}", _REWRITE, Location(shown)))
            continue
        if number > FORMAT:
            why = f"this is a snapshot of format {number}, and this version of domainstream reads 1 to {FORMAT}"
            unreadable.append(Unreadable(why, _UPGRADE, Location(shown)))
        events |= own
        files |= dict.fromkeys(own, SnapshotFile(shown, number))
    return ReadSnapshots(events if paths else None, files, tuple(unreadable))


def _first_format(text: bytes) -> dict[str, EventSnapshot]:
    """Return what a file of format 1 says, with types and members as they are written now."""
    return {
        event_type: msgspec.structs.replace(
            event,
            types={
                name: ShapeSnapshot(
                    fields={
                        field: FieldSnapshot(on_the_wire(old.type), old.required) for field, old in shape.fields.items()
                    },
                    members=None if shape.members is None else [_member(str(member)) for member in shape.members],
                )
                for name, shape in event.types.items()
            },
        )
        for event_type, event in _decode_first_format(text).items()
    }


def _member(spelled: str) -> int | str:
    try:
        value = ast.literal_eval(spelled)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return f"= {spelled}"
    return value if isinstance(value, int | str) else f"= {spelled}"


def snapshot_texts(project: Project, events: Iterable[Event]) -> dict[str, bytes]:
    """Return what the files of the services with these events, and those that had some, are to hold, by path."""
    by_service: dict[str, dict[str, EventSnapshot]] = {}
    for event in events:
        snapshot = snapshot_of(event, project)
        if snapshot is not None and event.event_type is not None:
            by_service.setdefault(event.service, {})[event.event_type] = snapshot
    texts: dict[str, dict[str, EventSnapshot]] = {
        file.path: {}
        for file in project.snapshot_files.values()
        if PurePosixPath(file.path).stem not in project.settings.external_services
    }
    texts |= {f"{project.settings.contracts}/{service}.json": own for service, own in by_service.items()}
    return {path: _text(own) for path, own in texts.items()}


def _text(events: dict[str, EventSnapshot]) -> bytes:
    encoded = msgspec.json.encode(ContractFile(FORMAT, events), order="deterministic")
    return msgspec.json.format(encoded, indent=2) + b"\n"


def write_snapshots(project: Project, texts: Mapping[str, bytes]) -> list[str]:
    """Write files, and return those that changed."""
    root = project.root
    (root / project.settings.contracts).mkdir(parents=True, exist_ok=True)
    changed = [path for path, text in texts.items() if not _holds(root / path, text)]
    for path in changed:
        (root / path).write_bytes(texts[path])
    return changed


def _holds(path: Path, text: bytes) -> bool:
    return path.is_file() and path.read_bytes() == text


def says_the_same(path: Path, text: bytes) -> bool:
    """Return whether a file holds the snapshots of a text, however it is laid out."""
    try:
        return _decode(path.read_bytes()) == _decode(text)
    except (msgspec.DecodeError, OSError, RecursionError):
        return False


def comparison_of(project: Project, event: Event) -> Comparison | None:
    """Return the comparison of an event with its snapshot; None where one of the two is missing or not understood."""
    old = (project.snapshots or {}).get(event.event_type or "")
    new = None if old is None else snapshot_of(event, project)
    if old is None or new is None:
        return None
    names = None
    if project.snapshot_files[event.event_type or ""].format == 1:
        shapes = named_shapes(project.shapes[event.payload or ""], project.shapes)
        names = {
            (name, field.name): field.first_format_name for name, shape in shapes.items() for field in shape.fields
        }
    return Comparison(old, new, names)


def snapshot_of(event: Event, project: Project) -> EventSnapshot | None:
    """Return an event as it is; None when its payload is not understood."""
    root = project.shapes.get(event.payload or "")
    if root is None or event.version is None:
        return None
    named = named_shapes(root, project.shapes)
    name_of = {shape.symbol: name for name, shape in named.items()}
    types = {name: _shape_snapshot(shape, name_of) for name, shape in named.items()}
    event_type = event.event_type or ""
    partitions = project.partitions.get(event_type)
    if partitions is None:
        before = (project.snapshots or {}).get(event_type)
        partitions = 1 if before is None else before.partitions
    return EventSnapshot(event.name, event.version, name_of[root.symbol], types, partitions)


def _shape_snapshot(shape: Shape, name_of: Mapping[str, str]) -> ShapeSnapshot:
    longer = {
        last_part(used): name_of[used] for used in shape.uses if name_of.get(used, last_part(used)) != last_part(used)
    }

    def spelled(annotation: str) -> str:
        return _WORD.sub(lambda word: longer.get(word[0], word[0]), annotation) if longer else annotation

    fields = {
        field.name: FieldSnapshot(
            type=on_the_wire(spelled(field.annotation)),
            required=field.required,
            constraints={place: dict(limits) for place, limits in field.constraints.items()},
            reads=list(field.reads),
            sensitive=field.sensitive,
        )
        for field in shape.fields
    }
    tag = shape.form.tag
    return ShapeSnapshot(
        fields=fields,
        array=[field.name for field in shape.fields] if shape.form.array else None,
        tag=None if tag is None else TagSnapshot(tag.field, tag.value),
        closed=shape.form.closed,
        computed=list(shape.form.computed),
        members=None if shape.members is None else list(shape.members),
        lenient=shape.lenient,
    )


def named_shapes(root: Shape, shapes: Mapping[str, Shape]) -> dict[str, Shape]:
    """Return a shape and all that its fields lead to by name; where two have the same, by their whole symbols."""
    found = list(_reachable(root, shapes))
    count = Counter(shape.name for shape in found)
    return {shape.name if count[shape.name] == 1 else shape.symbol.replace(".", "_"): shape for shape in found}


def _reachable(root: Shape, shapes: Mapping[str, Shape]) -> Iterator[Shape]:
    left, seen = [root], {root.symbol}
    while left:
        shape = left.pop()
        yield shape
        new = [shapes[symbol] for symbol in shape.uses if symbol in shapes and symbol not in seen]
        seen.update(used.symbol for used in new)
        left += new
