"""The story of a transaction, an aggregate or an event: what was published, which handlers ran, and which did not."""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from domainstream.stream.state import id_order
from domainstream.tools.dashboard.facts import ChannelFacts
from domainstream.tools.dashboard.map_links import Handling
from domainstream.tools.timeline import TimelineEntry


class Span(Struct, frozen=True, kw_only=True):
    """A stretch of time in which something went on."""

    kind: str
    """`wait` before a job began, `run`, `done` and `bad` while it was handled and how that ended."""

    begin_ms: int
    """When it began, in milliseconds since 1970."""

    end_ms: int
    """When it ended, or the present if it has not."""

    is_open: bool
    """Whether it has not ended."""


class JobStory(Struct, frozen=True, kw_only=True):
    """What became of a job."""

    queue: str
    """The queue's name."""

    job: str
    """The job's name."""

    job_id: str
    """The job's id."""

    outcome: str
    """`completed`, `failed`, `active or retried`, or `waiting`."""

    attempts: int
    """How often it was attempted."""

    error: str
    """The type of its last error; empty without one."""

    where: str
    """The line of the user's own code that it failed at; empty without one."""

    spans: tuple[Span, ...]
    """What went on, in order."""

    @property
    def took_ms(self) -> int:
        """How long it took from the moment it was added, in milliseconds."""
        return self.spans[-1].end_ms - self.spans[0].begin_ms if self.spans else 0


class Hole(Struct, frozen=True, kw_only=True):
    """A job that should be there and is not."""

    handling: Handling
    """What is missing."""

    why: str
    """Why, as far as is known."""


class EventStory(Struct, frozen=True, kw_only=True):
    """An event, and what followed from it."""

    event_id: str
    """The event's id."""

    event_type: str
    """Its type."""

    aggregate_id: str
    """The aggregate that it is about."""

    correlation_id: str
    """The transaction that it belongs to."""

    waited_ms: int
    """How long it took from when it happened until it was published, as in an outbox; 0 if that is not known."""

    trace_id: str
    """The trace in which it was published; empty without one."""

    channel: str
    """The channel that it was published to; empty if its stream does not keep it any more."""

    at_ms: int
    """When it was published or, if that is not known, when its first job was added; in milliseconds since 1970."""

    depth: int
    """How many events it follows from."""

    jobs: tuple[JobStory, ...]
    """Its jobs."""

    holes: tuple[Hole, ...]
    """The jobs that are missing."""

    dead_letters: tuple[str, ...]
    """The ids of the dead letters that it was stored as."""


class Story(Struct, frozen=True, kw_only=True):
    """All that is still known, in the order in which events caused each other."""

    events: tuple[EventStory, ...]
    """The events, each before those that follow from it."""

    begin_ms: int
    """When the first thing happened, in milliseconds since 1970."""

    end_ms: int
    """When the last thing happened, and a little later if something goes on."""

    @property
    def holes(self) -> int:
        """How many jobs are missing."""
        return sum(len(event.holes) for event in self.events)

    @property
    def failed(self) -> int:
        """How many jobs have failed permanently."""
        return sum(job.outcome == "failed" for event in self.events for job in event.jobs)

    @property
    def transactions(self) -> list[str]:
        """The transactions that it is about, in the order in which they began."""
        return list(dict.fromkeys(event.correlation_id for event in self.events))


def story_of(
    timeline: Sequence[TimelineEntry],
    channels: Mapping[str, ChannelFacts],
    expected: Mapping[str, Sequence[Handling]],
    *,
    now_ms: int,
) -> Story:
    """Tell a story from a timeline.

    `expected` is which jobs a channel's events become, as far as the code says so; without it there are no holes but
    those of groups that have not read an event yet.
    """
    by_event: dict[str, list[TimelineEntry]] = {}
    for entry in timeline:
        by_event.setdefault(entry.event_id, []).append(entry)
    causes = {event_id: entries[0].causation_id for event_id, entries in by_event.items()}
    events = [
        _event(entries, _depth(event_id, causes), channels, expected, now_ms) for event_id, entries in by_event.items()
    ]
    spans = [span for event in events for job in event.jobs for span in job.spans]
    # What has not ended may go on for days: drawn to scale, it would leave a hair's breadth for all the rest.
    times = [*(event.at_ms for event in events), *(span.begin_ms if span.is_open else span.end_ms for span in spans)]
    begin, end = min(times, default=now_ms), max(times, default=now_ms)
    if any(span.is_open for span in spans):
        end += max(1, (end - begin) // 4)
    return Story(events=tuple(_in_tree(events, causes)), begin_ms=begin, end_ms=max(begin + 1, end))


def _depth(event_id: str, causes: Mapping[str, str | None]) -> int:
    """Return how many of the events that are known an event follows from; they might name each other in a circle."""
    depth, seen = 0, {event_id}
    while (cause := causes.get(event_id)) in causes and cause is not None and cause not in seen:
        seen.add(cause)
        event_id, depth = cause, depth + 1
    return depth


def _in_tree(events: Sequence[EventStory], causes: Mapping[str, str | None]) -> list[EventStory]:
    """Return each event with those that follow from it behind it, at any depth, the first of these first."""
    known = {event.event_id: event for event in events}
    followers: dict[str, list[EventStory]] = {}
    for event in sorted(events, key=lambda event: event.at_ms):
        followers.setdefault(_cause_in(event, causes, known), []).append(event)
    ordered: list[EventStory] = []
    stack = followers.pop("", [])[::-1]
    while stack:
        ordered.append(event := stack.pop())
        stack.extend(followers.pop(event.event_id, [])[::-1])
    # What is left names each other as causes in a circle.
    return [*ordered, *(event for left in followers.values() for event in left)]


def _cause_in(event: EventStory, causes: Mapping[str, str | None], known: Mapping[str, EventStory]) -> str:
    cause = causes.get(event.event_id)
    return cause if cause in known and cause is not None and cause != event.event_id else ""


def _event(
    entries: Sequence[TimelineEntry],
    depth: int,
    channels: Mapping[str, ChannelFacts],
    expected: Mapping[str, Sequence[Handling]],
    now_ms: int,
) -> EventStory:
    first = next((entry for entry in entries if entry.what == "published"), entries[0])
    jobs = _jobs(entries, now_ms)
    dead = tuple(entry.entry_id or "" for entry in entries if entry.what == "buried")
    channel = next((entry.channel for entry in entries if entry.channel), "") or ""
    return EventStory(
        event_id=first.event_id,
        event_type=first.event_type,
        aggregate_id=first.aggregate_id,
        correlation_id=first.correlation_id,
        waited_ms=max(0, first.time_ms - (first.happened_ms or first.time_ms)),
        trace_id=first.trace_id,
        channel=channel,
        at_ms=first.time_ms,
        depth=depth,
        jobs=jobs,
        holes=tuple(_holes(first, jobs, channels.get(channel), expected, has_dead=bool(dead))),
        dead_letters=dead,
    )


def _jobs(entries: Sequence[TimelineEntry], now_ms: int) -> tuple[JobStory, ...]:
    by_job: dict[tuple[str, str], dict[str, TimelineEntry]] = {}
    for entry in entries:
        if entry.queue:
            by_job.setdefault((entry.queue, entry.job_id or ""), {})[entry.what] = entry
    return tuple(_job(steps, now_ms) for steps in by_job.values())


def _job(steps: Mapping[str, TimelineEntry], now_ms: int) -> JobStory:
    last = [*steps.values()][-1]
    added, started = steps.get("added"), steps.get("started")
    ended = steps.get("completed") or steps.get("failed")
    spans = []
    if added:
        spans.append(_span("wait", added, started, now_ms))
    if started:
        kind = {"completed": "done", "failed": "bad"}.get(ended.what if ended else "", "run")
        spans.append(_span(kind, started, ended, now_ms))
    return JobStory(
        queue=last.queue or "",
        job=last.job or "",
        job_id=last.job_id or "",
        outcome=ended.what if ended else "active or retried" if started else "waiting",
        attempts=last.attempts or 0,
        error=last.error,
        where=last.where,
        spans=tuple(span for span in spans if span.end_ms >= span.begin_ms),
    )


def _span(kind: str, begin: TimelineEntry, end: TimelineEntry | None, now_ms: int) -> Span:
    return Span(kind=kind, begin_ms=begin.time_ms, end_ms=end.time_ms if end else now_ms, is_open=end is None)


def _holes(
    event: TimelineEntry,
    jobs: Sequence[JobStory],
    channel: ChannelFacts | None,
    expected: Mapping[str, Sequence[Handling]],
    *,
    has_dead: bool,
) -> list[Hole]:
    if event.what != "published" or channel is None:
        return []
    there = {(job.queue, job.job) for job in jobs}
    unread = [group.group for group in channel.groups if _is_unread(event.entry_id, group.last_delivered_id)]
    wanted = [
        one
        for one in expected.get(channel.channel.partition(":")[0], ())
        if not any(one.job == job and _is_queue(one.queue, queue) for queue, job in there)
    ]
    if has_dead:
        why = "it could not become a job: see its dead letter"
    elif unread:
        why = f"{', '.join(unread)} has not read it yet"
    elif not channel.groups:
        why = "nobody reads the channel"
    else:
        why = "no such job is kept: it was deleted, or its retention is over, or the subscription is newer"
    holes = [Hole(handling=one, why=why) for one in wanted]
    if not holes and not jobs and (unread or not channel.groups):
        holes = [Hole(handling=Handling(queue="", job=""), why=why)]
    return holes


def _is_unread(entry_id: str | None, last_delivered_id: str) -> bool:
    return entry_id is not None and id_order(entry_id) > id_order(last_delivered_id)


def _is_queue(queue: str, found: str) -> bool:
    """Return whether a BullMQ queue is a queue, or a partition of it, also by its name on a cluster."""
    plain = found[1:-1] if found.startswith("{") and found.endswith("}") else found
    rest = plain.removeprefix(queue)
    return plain.startswith(queue) and (not rest or (rest.startswith("-p") and rest[2:].isdecimal()))
