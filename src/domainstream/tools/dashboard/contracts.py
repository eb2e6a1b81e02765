"""The contracts of a system: what code and contract files say about each event, and which versions are in flight."""

from collections import Counter
from typing import Final, Literal

from msgspec import Struct

from domainstream.queue.bullmq.inspection import JobState
from domainstream.stream import Delivery
from domainstream.tools.check.comparing import HARMLESS
from domainstream.tools.check.model.domain import Event
from domainstream.tools.check.model.project import Project
from domainstream.tools.check.rules.contract import all_changes, is_led_on, old_version, published_events
from domainstream.tools.dashboard.facts import Facts
from domainstream.tools.docgen.entries import Entry
from domainstream.tools.docgen.project_entries import entries_of
from domainstream.tools.failures import message_of

ENTRIES: Final = 100
"""How many of the newest entries of each stream are read for the versions in flight."""

JOBS: Final = 50
"""How many of the newest jobs of each queue and state are read for them."""

OPEN_STATES: Final = ("wait", "paused", "prioritized", "waiting-children", "delayed", "active", "failed")
"""The states of jobs that are handled yet, or may be retried."""


class InFlight(Struct, frozen=True, kw_only=True):
    """The events that are still stored, by event type and version, as far as they were read."""

    entries: Counter[tuple[str, str]]
    """Entries of streams."""

    jobs: Counter[tuple[str, str]]
    """Jobs that are open or have failed."""

    def versions(self, event_type: str) -> list[str]:
        """Return the versions of an event that were seen, the newest first."""
        seen = {version for kind, version in (*self.entries, *self.jobs) if kind == event_type}
        return sorted(
            seen, key=lambda version: (version.isdecimal(), int(version) if version.isdecimal() else 0), reverse=True
        )


class Version(Struct, frozen=True, kw_only=True):
    """A version of an event."""

    version: str
    """The version."""

    entries: int
    """How many entries of it were seen."""

    jobs: int
    """How many jobs."""

    status: Literal["current", "upcast", "ahead", "unreadable"]
    """Whether the code has it, leads it on to its own, does not know it yet, or cannot read it any more."""


class Contract(Struct, frozen=True, kw_only=True):
    """An event, as everybody sees it."""

    entry: Entry
    """What the code says."""

    version: int | None
    """Its version in the code; None if the code has no such event, or its version cannot be read."""

    recorded: int | None
    """Its version in the contract file; None if it is in none."""

    path: str
    """The contract file; empty without one."""

    breaking: tuple[str, ...]
    """The changes since then that break readers."""

    safe: tuple[str, ...]
    """The other changes."""

    led_on: bool
    """Whether the version rose, and upcasters lead from the recorded one to it."""

    versions: tuple[Version, ...]
    """The versions in flight."""

    @property
    def alarming(self) -> tuple[Version, ...]:
        """The versions in flight that the code cannot read."""
        return tuple(one for one in self.versions if one.status in {"ahead", "unreadable"})


def contracts_of(project: Project, in_flight: InFlight) -> list[Contract]:
    """Return the contract of each channel's event, sorted by its type."""
    events = {event.event_type: event for event in published_events(project)}
    changes = {event.event_type: found for event, found in all_changes(project)}
    contracts = []
    for entry in entries_of(project):
        event, snapshot = events.get(entry.value), (project.snapshots or {}).get(entry.value)
        led_on = event is not None and snapshot is not None and is_led_on(project, event)
        found = changes.get(entry.value, [])
        breaking = dict.fromkeys(one.message for one in found if one.kind not in HARMLESS and not led_on)
        safe = dict.fromkeys(one.message for one in found if one.message not in breaking)
        contracts.append(
            Contract(
                entry=entry,
                version=event.version if event else None,
                recorded=old_version(project, event) if event and snapshot else None,
                path=project.snapshot_files[entry.value].path if snapshot else "",
                breaking=tuple(breaking),
                safe=tuple(safe),
                led_on=led_on,
                versions=tuple(_versions(project, entry.value, event, in_flight)),
            )
        )
    return contracts


async def read_in_flight(facts: Facts) -> InFlight:
    """Read the versions of the newest events in streams and of the newest open jobs."""
    entries, jobs = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    names = await facts.names.get()
    for channel in names.channels:
        entries.update(_kinds(await facts.server.streams.latest(channel, ENTRIES)))
    for queue in names.queues:
        for state in OPEN_STATES:
            jobs.update(_kinds(await facts.newest_jobs(queue, state, count=JOBS)))
    return InFlight(entries=entries, jobs=jobs)


def _kinds(found: list[Delivery] | list[JobState]) -> list[tuple[str, str]]:
    messages = map(message_of, found)
    return [(message.type, message.version) for message in messages if message is not None]


def _versions(project: Project, event_type: str, event: Event | None, in_flight: InFlight) -> list[Version]:
    return [
        Version(
            version=version,
            entries=in_flight.entries[event_type, version],
            jobs=in_flight.jobs[event_type, version],
            status=_status(project, event, version),
        )
        for version in in_flight.versions(event_type)
    ]


def _status(project: Project, event: Event | None, version: str) -> Literal["current", "upcast", "ahead", "unreadable"]:
    if event is None or event.version is None or version == str(event.version):
        return "current"
    if not version.isdecimal():
        return "unreadable"
    if int(version) > event.version:
        return "ahead"
    needed = set(range(int(version), event.version))
    chains = [chain.versions for chain in project.upcasters if chain.event == event.symbol]
    return "upcast" if any(chain is None or needed.issubset(chain) for chain in chains) else "unreadable"
