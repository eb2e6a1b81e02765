"""Rules of the contract, DS601 to DS605: payloads as their readers know them."""

from collections.abc import Iterator
from functools import lru_cache, partial
from typing import Final

from domainstream.tools.check.findings import RawFinding
from domainstream.tools.check.model.domain import Event
from domainstream.tools.check.model.project import Project
from domainstream.tools.check.rules.subscriptions import kept_inside
from domainstream.tools.check.snapshots import Change, Kind, changes_between, reachable, snapshot_of


def _broken(project: Project, kind: Kind) -> Iterator[RawFinding]:
    for event, change in breaking_changes(project):
        if change.kind == kind:
            message = f"{change.message}, which breaks {_readers(project, event)}"
            shapes = reachable(project.shapes[event.payload or ""], project.shapes)
            shape = next(shape for shape in shapes if shape.name == change.shape)
            field = next((field for field in shape.fields if field.name == change.field), shape)
            yield RawFinding(field.location, message, _fix(project, event))


@lru_cache(maxsize=1)
def breaking_changes(project: Project) -> list[tuple[Event, Change]]:
    """Return what breaks readers of events whose version did not rise, or that have no upcaster for it."""
    found: list[tuple[Event, Change]] = []
    for event in published_events(project):
        old = (project.snapshots or {}).get(event.event_type or "")
        new = snapshot_of(event, project.shapes)
        if old is not None and new is not None and not _is_led_on(project, event, old.version):
            found += [(event, change) for change in changes_between(old, new)]
    return found


def published_events(project: Project) -> list[Event]:
    """Return the events that leave their service, or may."""
    inside = kept_inside(project)
    return [event for event in project.events if event.event_type is not None and event.event_type not in inside]


def _is_led_on(project: Project, event: Event, old_version: int) -> bool:
    """Return whether the version rose and upcasters lead from the old one to it."""
    if event.version is None or event.version <= old_version:
        return False
    needed = set(range(old_version, event.version))
    chains = [chain.versions for chain in project.upcasters if chain.event == event.symbol]
    return any(needed.issubset(needed if versions is None else versions) for versions in chains)


def _readers(project: Project, event: Event) -> str:
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
    return ", ".join([*handlers, *queues]) or "readers of the entries still in the stream"


def _fix(project: Project, event: Event) -> str:
    old = (project.snapshots or {})[event.event_type or ""].version
    if event.version is not None and event.version > old:
        steps = ", ".join(f"{version}: ..." for version in range(old, event.version))
        return f"write upcasters = {{{steps}}} in {event.name}, or take the change back"
    return f"take the change back, or write version = {old + 1} and upcasters = {{{old}: ...}} in {event.name}"


def without_snapshot(project: Project) -> Iterator[RawFinding]:
    """Find events that are in no snapshot, where there are snapshots."""
    for event in published_events(project) if project.snapshots is not None else ():
        if event.event_type not in (project.snapshots or {}) and snapshot_of(event, project.shapes) is not None:
            message = f"{event.name} is not in a snapshot, so breaking changes of its payload go unnoticed"
            yield RawFinding(event.location, message, "run domainstream schema snapshot")


field_removed: Final = partial(_broken, kind="removed")
field_retyped: Final = partial(_broken, kind="retyped")
field_required: Final = partial(_broken, kind="required")
enum_narrowed: Final = partial(_broken, kind="narrowed")
