"""Rules of the contract, DS601 to DS613: payloads as their readers know them, and the streams they are read from."""

from collections.abc import Iterator
from functools import lru_cache, partial
from typing import Final

from domainstream.tools.check.comparing import HARMLESS, Change, Kind
from domainstream.tools.check.findings import Location, RawFinding
from domainstream.tools.check.model.domain import Event
from domainstream.tools.check.model.project import Project
from domainstream.tools.check.rules.subscriptions import kept_inside
from domainstream.tools.check.snapshots import comparison_of, named_shapes, snapshot_of


def _broken(project: Project, kind: Kind) -> Iterator[RawFinding]:
    """Yield each change once, also where several events have the class that it was done to."""
    events: dict[tuple[Location, str], list[Event]] = {}
    for event, change in breaking_changes(project):
        if change.kind == kind:
            events.setdefault((_place(project, event, change), change.message), []).append(event)
    for (location, message), changed in events.items():
        readers = dict.fromkeys(reader for event in changed for reader in _readers(project, event))
        steps = ", and ".join(_step(project, event) for event in changed)
        named = ", ".join(readers) or "readers of the entries still in the stream"
        yield RawFinding(location, f"{message}, which breaks {named}", f"take the change back, or {steps}")


def _place(project: Project, event: Event, change: Change) -> Location:
    shape = named_shapes(project.shapes[event.payload or ""], project.shapes)[change.shape]
    return next((field for field in shape.fields if field.name == change.field), shape).location


def breaking_changes(project: Project) -> list[tuple[Event, Change]]:
    """Return what breaks readers of events whose version did not rise, or that have no upcaster for it."""
    return [
        (event, change)
        for event, changes in all_changes(project)
        if not is_led_on(project, event)
        for change in changes
        if change.kind not in HARMLESS
    ]


@lru_cache(maxsize=1)
def all_changes(project: Project) -> list[tuple[Event, list[Change]]]:
    """Return the published events that have a snapshot, each with all that has changed since."""
    compared = ((event, comparison_of(project, event)) for event in published_events(project))
    return [(event, list(comparison.changes())) for event, comparison in compared if comparison is not None]


def published_events(project: Project) -> list[Event]:
    """Return the events that leave their service, or may."""
    inside = kept_inside(project)
    return [event for event in project.events if event.event_type is not None and event.event_type not in inside]


def is_led_on(project: Project, event: Event) -> bool:
    """Return whether the version rose and upcasters lead from the snapshot's to it."""
    old = old_version(project, event)
    if event.version is None or event.version <= old:
        return False
    needed = set(range(old, event.version))
    chains = [chain.versions for chain in project.upcasters if chain.event == event.symbol]
    return any(needed.issubset(needed if versions is None else versions) for versions in chains)


def old_version(project: Project, event: Event) -> int:
    """Return the version in the event's snapshot."""
    return (project.snapshots or {})[event.event_type or ""].version


def _readers(project: Project, event: Event) -> list[str]:
    """Name who listens, and which handler."""
    handlers = [
        f"{handler.name or 'a handler'} of {consumer.service or 'a package'}"
        for consumer in project.consumers
        for handler in consumer.handlers
        if event.symbol in handler.events
    ]
    queues = [
        f"the job {subscription.job} of the queue {subscription.queue}"
        for table in project.subscription_maps
        for entry in table.entries
        for subscription in entry.subscriptions
        if entry.channel.lower() == event.event_type and subscription.queue in project.settings.external_queues
    ]
    return [*handlers, *queues]


def _step(project: Project, event: Event) -> str:
    """Say what makes a change of an event safe."""
    old = old_version(project, event)
    if event.version is not None and event.version > old:
        steps = ", ".join(f"{version}: ..." for version in range(old, event.version))
        return f"write upcasters = {{{steps}}} in {event.name}"
    return f"write version = {old + 1} and upcasters = {{{old}: ...}} in {event.name}"


def without_snapshot(project: Project) -> Iterator[RawFinding]:
    """Find events that are in no snapshot, where there are snapshots."""
    for event in published_events(project) if project.snapshots is not None else ():
        if event.event_type not in (project.snapshots or {}) and snapshot_of(event, project) is not None:
            message = f"{event.name} is not in a snapshot, so breaking changes of its payload go unnoticed"
            yield RawFinding(event.location, message, "run domainstream schema snapshot")


def outdated_snapshot(project: Project) -> Iterator[RawFinding]:
    """Find snapshots that lack what breaks no reader now: changed once more, it would break them unseen."""
    for event, changes in all_changes(project):
        led_on = is_led_on(project, event)
        if not led_on and (any(change.kind not in HARMLESS for change in changes) or event.version is None):
            continue  # the breaking change is the finding
        messages = list(dict.fromkeys(change.message for change in changes if change.kind != "marked"))
        if led_on:
            messages.append(f"it has version {event.version}")
        if messages:
            more = f" and {len(messages) - 1} more" if len(messages) > 1 else ""
            message = f"the snapshot of {event.name} is out of date ({messages[0]}{more}), so the next change of that"
            path = project.snapshot_files[event.event_type or ""].path
            fix = f"run domainstream schema snapshot and commit {path}"
            yield RawFinding(event.location, f"{message} could break readers unnoticed", fix)


def unreachable_version(project: Project) -> Iterator[RawFinding]:
    """Find versions that changed alone: messages of the old one can still be in streams and queues."""
    for event, changes in all_changes(project):
        old = old_version(project, event)
        if event.version in {None, old} or is_led_on(project, event):
            continue
        if all(change.kind in HARMLESS for change in changes):
            message = (
                f"{event.name} had version {old} and has version {event.version}, which cannot read the messages of"
            )
            back = f"set version = {old}"
            fix = back if (event.version or 0) < old else f"{_step(project, event)}, or {back}"
            yield RawFinding(event.location, f"{message} version {old} in streams and queues", fix)


def repartitioned(project: Project) -> Iterator[RawFinding]:
    """Find channels that were spread over another number of streams when their snapshots were taken."""
    places = {channel.value: channel.location for enum in project.enums for channel in enum.channels}
    for event, change in partition_changes(project):
        fix = (
            "take the change back, or follow docs/how-to/partition-a-channel.md and run domainstream schema snapshot "
            "--accept"
        )
        yield RawFinding(
            places.get(event.event_type, event.location), f"{change}, which moves events to other streams", fix
        )


def partition_changes(project: Project) -> Iterator[tuple[Event, str]]:
    """Yield each published event whose channel has another number of partitions than in its snapshot, and both."""
    for event in published_events(project):
        old = (project.snapshots or {}).get(event.event_type or "")
        new = project.partitions.get(event.event_type or "")
        if old is not None and new is not None and new != old.partitions:
            was, now = (f"{count} partition{'s' if count > 1 else ''}" for count in (old.partitions, new))
            yield event, f"{(event.event_type or '').upper()} had {was} and has {now}"


field_removed: Final = partial(_broken, kind="removed")
field_retyped: Final = partial(_broken, kind="retyped")
field_required: Final = partial(_broken, kind="required")
enum_narrowed: Final = partial(_broken, kind="narrowed")
class_reshaped: Final = partial(_broken, kind="reshaped")
class_closed: Final = partial(_broken, kind="closed")
enum_widened: Final = partial(_broken, kind="widened")
limit_tightened: Final = partial(_broken, kind="tightened")
limit_loosened: Final = partial(_broken, kind="loosened")
