"""Reads from a job's traces what failed and where, so that ten thousand failures become a handful of causes."""

import re
from collections.abc import Iterable
from typing import Any, Final

from msgspec import Struct

from domainstream.errors import EventDecodingError
from domainstream.event import EventMessage, read_message
from domainstream.queue.bullmq.inspection import JobState

_LIBRARY: Final = re.compile(r"/(site-packages|dist-packages|node_modules|src/domainstream|lib/python3\.\d+)/|^<")
_PYTHON_FRAME: Final = re.compile(r'^[ |]*  File "(?P<file>[^"]+)", line (?P<line>\d+), in (?P<function>\S+)$')
_NODE_FRAME: Final = re.compile(
    r"^\s+at (?:async )?(?:(?P<function>\S+) \()?(?:file://)?(?P<file>/[^)]+?):(?P<line>\d+):\d+\)?$"
)
_ERROR: Final = re.compile(r"^(?P<type>[A-Za-z_][\w.]*)(?::|$)")


class JobFailures(Struct, frozen=True, kw_only=True):
    """Jobs of one queue that are in the same state for the same reason."""

    queue: str
    """The queue's name."""

    state: str
    """As BullMQ calls it."""

    job: str
    """The jobs' name."""

    event_type: str
    """The type of their events; empty if they cannot be read."""

    error: str
    """The type of their last error; empty for jobs that have not failed yet."""

    where: str
    """The innermost line of the user's own code in the last trace, as `file:line in function`; empty without one."""

    jobs: int
    """How many they are."""

    first_ms: int
    """When the first of them failed or, before that, was added: in milliseconds since 1970."""

    last_ms: int
    """The same of the last of them."""

    example: str
    """The id of the last of them, for `domainstream jobs show`."""


class JobFilter(Struct, frozen=True, kw_only=True):
    """Which jobs of a queue are meant; None and 0 mean any."""

    job: str | None = None
    """Their name."""

    error: str | None = None
    """The type of their last error, as `JobFailures.error` has it."""

    since_ms: int = 0
    """When they ended or, before that, began last or were added, at the earliest; in milliseconds since 1970."""

    key: str | None = None
    """The id of the aggregate that their events are about."""

    def matches(self, job: JobState) -> bool:
        """Return whether a job is meant."""
        if self.job not in (None, job.name) or moment_of(job) < self.since_ms:
            return False
        if self.error is not None and error_of(job) != self.error:
            return False
        if self.key is None:
            return True
        message = message_of(job)
        return message is not None and message.subject == self.key


class JobRecord(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A job as `--json` writes it."""

    queue: str
    """The queue's name."""

    id: str
    """The job's id."""

    name: str
    """The job's name."""

    state: str
    """As BullMQ calls it."""

    event_type: str = ""
    """The type of its event; empty, as the next three, if the event cannot be read."""

    event_id: str = ""
    """The id of its event."""

    aggregate_id: str = ""
    """The aggregate that its event is about."""

    correlation_id: str = ""
    """The business transaction that its event belongs to."""

    attempts: int
    """How many attempts were made and counted."""

    max_attempts: int
    """How many it gets."""

    starts: int
    """How often it began."""

    added_ms: int
    """When it was added, in milliseconds since 1970."""

    last_ms: int
    """When it ended or, before that, began last or was added."""

    due_ms: int | None = None
    """When a delayed job may begin, if that was asked for."""

    error: str = ""
    """The type of its last error; empty without a failure."""

    where: str = ""
    """The innermost line of the user's own code in its last trace."""

    reason: str = ""
    """Why its last attempt failed, or why it waits."""

    traces: tuple[str, ...] = ()
    """Its traces, if they were asked for."""

    data: Any = None
    """Its data, if that was asked for and is JSON."""

    data_base64: str | None = None
    """Its data, if that was asked for and is not JSON."""


def job_record(job: JobState, **more: Any) -> JobRecord:
    """Return the record of a job; `more` are the fields that must be asked for."""
    message = message_of(job)
    return JobRecord(
        queue=job.queue,
        id=job.job_id,
        name=job.name,
        state=job.state,
        attempts=job.attempts,
        max_attempts=job.max_attempts,
        starts=job.starts,
        added_ms=job.added_ms,
        last_ms=moment_of(job),
        due_ms=job.due_ms,
        error=error_of(job),
        where=place_of(job),
        reason=job.failed_reason,
        event_type=message.type if message else "",
        event_id=message.id if message else "",
        aggregate_id=message.subject if message else "",
        correlation_id=(message.correlationid or message.id) if message else "",
        **more,
    )


def grouped(jobs: Iterable[JobState]) -> list[JobFailures]:
    """Group jobs by state, name, event type, error and place; the largest groups come first."""
    groups: dict[tuple[str, ...], list[JobState]] = {}
    for job in jobs:
        message = message_of(job)
        key = (job.queue, job.state, job.name, message.type if message else "", error_of(job), place_of(job))
        groups.setdefault(key, []).append(job)
    failures = []
    for (queue, state, name, event_type, error, where), members in groups.items():
        members.sort(key=moment_of)
        failures.append(
            JobFailures(
                queue=queue,
                state=state,
                job=name,
                event_type=event_type,
                error=error,
                where=where,
                jobs=len(members),
                first_ms=moment_of(members[0]),
                last_ms=moment_of(members[-1]),
                example=members[-1].job_id,
            )
        )
    return sorted(failures, key=lambda group: group.jobs, reverse=True)


def moment_of(job: JobState) -> int:
    """Return when a job ended or, before that, began last or was added; in milliseconds since 1970."""
    return job.ended_ms or job.started_ms or job.added_ms


def message_of(job: JobState) -> EventMessage | None:
    """Return the envelope of a job's event; None for data that is not an event."""
    try:
        return read_message(job.data)
    except EventDecodingError:
        return None


def error_of(job: JobState) -> str:
    """Return the type of a job's last error, as the last trace or else the reason names it; empty without a failure."""
    if not job.failed_reason:
        return ""
    trace = job.traces[-1].splitlines() if job.traces else []
    # Python names the error below the frames, Node above; a message of several lines may follow either.
    after_frames = max((number + 1 for number, line in enumerate(trace) if line.startswith("  ")), default=0)
    candidates = [*trace[after_frames:], *trace[:1], job.failed_reason]
    found = next((match for line in candidates if (match := _ERROR.match(line))), None)
    return found["type"].rpartition(".")[2] if found else "Error"


def place_of(job: JobState) -> str:
    """Return the innermost line of the user's own code in a job's last trace; empty without one."""
    frames = own_frames(job.traces[-1]) if job.traces else []
    return frames[-1] if frames else ""


def own_frames(trace: str) -> list[str]:
    """Return the user's own frames of a trace of Python or Node.js, outermost first, as `file:line in function`."""
    lines = trace.splitlines()
    frames = [match for line in lines if (match := _PYTHON_FRAME.match(line))]
    # Node writes the innermost frame first.
    frames = frames or [match for line in reversed(lines) if (match := _NODE_FRAME.match(line))]
    return [
        f"{frame['file']}:{frame['line']} in {frame['function'] or '<anonymous>'}"
        for frame in frames
        if not _LIBRARY.search(frame["file"])
    ]
