"""What the contract files and the code say differently, as `schema snapshot` writes it and `--check` lists it."""

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import NamedTuple

from domainstream.tools.check.comparing import HARMLESS
from domainstream.tools.check.model.project import Project
from domainstream.tools.check.rules.contract import (
    all_changes,
    is_led_on,
    old_version,
    partition_changes,
    published_events,
)
from domainstream.tools.check.snapshots import says_the_same, snapshot_texts


class Difference(NamedTuple):
    """One thing that a contract file and the code say differently."""

    path: str
    """The contract file, relative to the root."""

    event_type: str
    """The event; empty for the whole file."""

    message: str
    """What differs, in words."""

    breaks_readers: bool
    """Whether it breaks readers, so that it is only written with `--accept`."""

    def __str__(self) -> str:
        where = f"{self.path}: {self.event_type}" if self.event_type else self.path
        return f"{where}: {self.message}{', which breaks readers' if self.breaks_readers else ''}"


def differences_of(project: Project) -> list[Difference]:
    """Return what differs, sorted by file and event; empty when `schema snapshot` has nothing to write."""
    found = [*_changed(project), *_gone(project), *_new(project)]
    named = {difference.path for difference in found}
    for path, text in snapshot_texts(project, published_events(project)).items():
        if path not in named and not says_the_same(project.root / path, text):
            formats = {file.format for file in project.snapshot_files.values() if file.path == path}
            why = "is of format 1" if 1 in formats else "has other names of classes, or events of another service"
            found.append(Difference(path, "", why, breaks_readers=False))
    return sorted(found)


def _changed(project: Project) -> Iterator[Difference]:
    for event, changes in all_changes(project):
        event_type = event.event_type or ""
        path = project.snapshot_files[event_type].path
        breaks = not is_led_on(project, event)
        for change in changes:
            yield Difference(path, event_type, change.message, breaks and change.kind not in HARMLESS)
        if event.version != (old := old_version(project, event)):
            yield Difference(path, event_type, f"{event.name} had version {old} and has {event.version}", breaks)
    for event, message in partition_changes(project):
        event_type = event.event_type or ""
        yield Difference(project.snapshot_files[event_type].path, event_type, message, breaks_readers=True)


def _gone(project: Project) -> Iterator[Difference]:
    """Yield the events of the snapshots that are not published any more; those in `retired` may go."""
    published = {event.event_type for event in published_events(project)}
    retired = {name.lower() for name in project.settings.retired}
    for event_type, file in project.snapshot_files.items():
        if event_type not in published and PurePosixPath(file.path).stem not in project.settings.external_services:
            name = (project.snapshots or {})[event_type].event
            message = f"{name} is not published as {event_type} any more"
            yield Difference(file.path, event_type, message, event_type not in retired)


def _new(project: Project) -> Iterator[Difference]:
    for event in published_events(project):
        payload_is_known = event.payload in project.shapes and event.version is not None
        if event.event_type not in project.snapshot_files and payload_is_known:
            path = f"{project.settings.contracts}/{event.service}.json"
            yield Difference(path, event.event_type or "", f"{event.name} is new", breaks_readers=False)
