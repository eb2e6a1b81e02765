"""Rules of readers, DS701 to DS706: classes by which a service reads another service's event, with fields of its own.

What a reader needs must be in the event of its owner: the class where the system has it, else the contract.
"""

import ast
from collections.abc import Iterator
from difflib import get_close_matches
from functools import lru_cache, partial
from typing import Final, Literal, NamedTuple

from domainstream.tools.check.findings import Location, RawFinding
from domainstream.tools.check.model.contract import EventSnapshot, ShapeSnapshot
from domainstream.tools.check.model.domain import Field, Shape
from domainstream.tools.check.model.project import Project
from domainstream.tools.check.reading.compatible import Accepted, Types
from domainstream.tools.check.snapshots import named_shapes, snapshot_of

Kind = Literal["missing", "type", "required"]


class _Gap(NamedTuple):
    """What a reader needs, and the event does not have."""

    kind: Kind
    """What is missing."""

    location: Location
    """Where the reader needs it."""

    message: str
    """The gap in words."""

    fix: str
    """What to change."""


def without_contract(project: Project) -> Iterator[RawFinding]:
    """Find readers of events that are neither in the system nor in a contract: nothing proves what they need."""
    for reader in project.readers:
        if reader.event_type not in readable_events(project):
            message = f"{reader.name} reads {reader.event_type}, of which there is neither the class nor a contract"
            fix = f"copy the owner's contract file into {project.settings.contracts}/, or correct the event type"
            yield RawFinding(reader.location, message, fix)


def of_another_version(project: Project) -> Iterator[RawFinding]:
    """Find readers whose version is not the event's, and those that cannot read the versions that the owner can."""
    for reader in project.readers:
        owned = readable_events(project).get(reader.event_type or "")
        if owned is None or reader.version is None:
            continue
        if reader.version != owned.version:
            what = "newer messages wait for it" if reader.version < owned.version else "no message has that one yet"
            message = f"{reader.name} reads version {reader.version}, but the event has version {owned.version}: {what}"
            yield RawFinding(
                reader.location, message, f"set version = {owned.version}, with the upcasters of its owner"
            )
            continue
        owners = {event.symbol for event in project.events if event.event_type == reader.event_type}
        needed = {step for chain in project.upcasters if chain.event in owners for step in chain.versions or ()}
        own = [chain.versions for chain in project.upcasters if chain.event == reader.symbol]
        if missing := needed.difference(*(needed if steps is None else steps for steps in own)):
            message = f"{reader.name} cannot read version {min(missing)}, from which its owner has an upcaster"
            steps = ", ".join(f"{version}: ..." for version in sorted(needed))
            yield RawFinding(reader.location, message, f"give the class upcasters = {{{steps}}}, as its owner's")


def closed_readers(project: Project) -> Iterator[RawFinding]:
    """Find readers that refuse fields which they do not name: the next field of the owner would fail every message."""
    payloads = [project.shapes.get(reader.payload or "") for reader in project.readers]
    shapes = [shape for payload in payloads if payload for shape in named_shapes(payload, project.shapes).values()]
    for shape in {each.symbol: each for each in shapes if each.form.closed and not each.form.array}.values():
        message = f"{shape.name} refuses fields that it does not name, so a new field of the event fails its job"
        yield RawFinding(shape.location, message, "remove forbid_unknown_fields=True, or extra='forbid'")


def _gaps_of(project: Project, kind: Kind) -> Iterator[RawFinding]:
    for gap in _gaps(project):
        if gap.kind == kind:
            yield RawFinding(gap.location, gap.message, gap.fix)


@lru_cache(maxsize=1)
def readable_events(project: Project) -> dict[str, EventSnapshot]:
    """Return the events that readers may read, by type: as their classes are, else as their contracts say."""
    classes = ((event.event_type, snapshot_of(event, project)) for event in project.events)
    known = {event_type: snapshot for event_type, snapshot in classes if event_type and snapshot is not None}
    return {**(project.snapshots or {}), **known}


@lru_cache(maxsize=1)
def _gaps(project: Project) -> list[_Gap]:
    gaps: dict[tuple[Kind, Location], _Gap] = {}
    for reader in project.readers:
        owned = readable_events(project).get(reader.event_type or "")
        shape = project.shapes.get(reader.payload or "")
        # Of another version, other fields may be right.
        if owned is not None and shape is not None and reader.version == owned.version:
            for gap in _missing_in(owned, shape, project):
                gaps.setdefault((gap.kind, gap.location), gap)
    return list(gaps.values())


def _missing_in(owned: EventSnapshot, shape: Shape, project: Project) -> Iterator[_Gap]:
    left = [(shape, owned.payload)]
    seen = {(shape.symbol, owned.payload)}
    while left:
        own, name = left.pop()
        there = owned.types.get(name)
        if there is None or there.members is not None:
            continue
        yield from _other_form(own, there, _what(owned, name))
        classes = {symbol.rpartition(".")[2]: project.shapes[symbol] for symbol in own.uses if symbol in project.shapes}
        types = Types(
            {each.name: each.members for each in classes.values()},
            {key: each.members for key, each in owned.types.items()},
        )
        for field in own.fields:
            wire = there.fields.get(field.name)
            place = f"{own.name}.{field.name}"
            if wire is None:
                yield _Gap(
                    "missing",
                    field.location,
                    f"{place}: {_what(owned, name)} has no such field",
                    _near(field, list(there.fields)),
                )
                continue
            accepted = _accepted(field.annotation, wire.type, types)
            if not accepted.fits:
                message = f"{place} is {field.annotation}, but {wire.type} in {_what(owned, name)}{accepted.why}"
                yield _Gap("type", field.location, message, f"use {field.name}: {_readable(wire.type, owned)}")
            elif field.required and not wire.required:
                message = f"{place} is required, but {_what(owned, name)} may come without it"
                yield _Gap(
                    "required", field.location, message, f"give it a default: {field.name}: {field.annotation} = ..."
                )
            new = [(classes[mine], theirs) for mine, theirs in accepted.pairs]
            left += [pair for pair in new if (pair[0].symbol, pair[1]) not in seen]
            seen.update((inner.symbol, theirs) for inner, theirs in new)


def _other_form(own: Shape, there: ShapeSnapshot, what: str) -> Iterator[_Gap]:
    """Yield that a reader takes an array for an object, or the reverse."""
    if own.form.array != (there.array is not None):
        mine, theirs = ("an array", "an object") if own.form.array else ("an object", "an array")
        yield _Gap("type", own.location, f"{own.name} is {mine}, but {what} is {theirs}", f"make it {theirs} as well")


def _accepted(own: str, wire: str, types: Types) -> Accepted:
    try:
        return types.accepts(ast.parse(own, mode="eval").body, ast.parse(wire, mode="eval").body)
    except (SyntaxError, RecursionError):
        return Accepted(own == wire)


def _what(owned: EventSnapshot, name: str) -> str:
    return owned.event if name == owned.payload else f"{name} of {owned.event}"


def _near(field: Field, known: list[str]) -> str:
    close = get_close_matches(field.name, known, n=1)
    return (
        f"did you mean {close[0]}? Otherwise remove it, or ask the owner for it"
        if close
        else (f"remove it, or ask the owner for it; the fields are: {', '.join(sorted(known))}")
    )


def _readable(spelled: str, owned: EventSnapshot) -> str:
    """Return a type that a reader can write, whose classes it makes itself."""
    classes = [name for name in owned.types if name in spelled]
    return f"{spelled}, with a class of your own for {', '.join(sorted(classes))}" if classes else spelled


missing_fields: Final = partial(_gaps_of, kind="missing")
other_types: Final = partial(_gaps_of, kind="type")
optional_fields: Final = partial(_gaps_of, kind="required")
