"""The doctor's checks of streams, groups, dead letters and queues."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from msgspec import Struct

from domainstream.errors import UnknownEventVersionError
from domainstream.queue.bullmq.queue_states import QueueState
from domainstream.queue.bullmq.unhandled import UnhandledJobs
from domainstream.queue.partitions import by_queue
from domainstream.stream import GroupState, StreamState
from domainstream.stream.dead_letters import DeadLetterState
from domainstream.stream.state import LeaseState, ms_of
from domainstream.text import printable
from domainstream.tools.common.formatting import age, number, plural
from domainstream.tools.doctor.finding import Finding, command, ok, problem, warning
from domainstream.tools.doctor.server_checks import SKEW_MS

DEAD_MS: Final = 3_600_000
"""A group with unread entries that no consumer has read for longer is probably used by no subscriber any more."""


class GroupProgress(Struct, frozen=True, kw_only=True):
    """A group on a channel, and when it was last used."""

    state: GroupState
    """Its state."""

    idle_ms: int | None
    """How long ago a consumer of it read last, in milliseconds; 0 while an instance has its lease, None if it has no
    consumer.
    """

    @property
    def is_dead(self) -> bool:
        """Whether entries wait for it that none of its consumers has read for `DEAD_MS`."""
        waits = self.state.oldest_ms is not None and self.state.oldest_ms > DEAD_MS
        return waits and (self.idle_ms is None or self.idle_ms > DEAD_MS)


def stream_findings(streams: Sequence[StreamState], *, now_ms: int) -> Iterator[Finding]:
    """Check whether streams count added entries, and whether the server's clock has jumped back."""
    if any(stream.added is None for stream in streams):
        words = "the server does not count added entries, so losses go unnoticed"
        yield problem("streams", words, "install Redis 7.0 or Valkey 7.2 or newer")
    ahead = {stream.channel: ms_of(stream.last_id) - now_ms for stream in streams}
    for channel, milliseconds in ahead.items():
        if milliseconds > SKEW_MS:
            words = (
                f"the newest entry of {channel} is {age(milliseconds)} ahead of the server's clock, which jumped back"
            )
            yield warning("streams", words, "timedatectl set-ntp true")
    if streams:
        yield ok("streams", f"{plural(len(streams), 'channel')} found")


def group_findings(
    streams: Iterable[StreamState], groups: Iterable[GroupProgress], *, wanted: str | None, limit_ms: int, now_ms: int
) -> Iterator[Finding]:
    """Check which channels no group reads, or not the group `wanted`, and which groups lost entries or are behind.

    A group is behind when the oldest entry that it has not settled is older than `limit_ms`.
    """
    known = list(groups)
    read = {group.state.channel for group in known if wanted in (None, group.state.group)}
    unread = [stream for stream in streams if stream.channel not in read]
    for stream in unread:
        missing = f"the group {wanted} does not read {stream.channel}" if wanted else f"no group reads {stream.channel}"
        oldest = f", the oldest added {age(now_ms - ms_of(stream.first_id))} ago," if stream.first_id else ""
        words = f"{missing}: its {plural(stream.length, 'entry', 'entries')}{oldest} and all that follow stay in memory"
        named = ("--group", wanted) if wanted else ()
        yield problem("groups", words, command("run", "subscriber", "MODULE:SUBSCRIPTIONS", *named))
    groups_of = Counter(group.state.channel for group in known)
    for group in known:
        yield from _progress(group, is_only=groups_of[group.state.channel] == 1, limit_ms=limit_ms)
    if not unread and known:
        yield ok("groups", "every channel is read by " + (f"the group {wanted}" if wanted else "a group"))
    oldest_ms = max((group.state.oldest_ms or 0 for group in known), default=0)
    if known and oldest_ms <= limit_ms:
        waits = f"the oldest unread entry waits for {age(oldest_ms)}" if oldest_ms else "nothing is unread"
        yield ok("progress", waits)


def _progress(group: GroupProgress, *, is_only: bool, limit_ms: int) -> Iterator[Finding]:
    state, name = group.state, printable(group.state.group)
    if state.lost:
        words = f"{number(state.lost)} entries were removed from {state.channel} before {name} read them"
        yield warning("groups", words, command("groups", "ls", state.channel))
    if state.oldest_ms is None or state.oldest_ms <= limit_ms:
        return
    entries = f"{plural(state.lag, 'entry', 'entries')}, the oldest added {age(state.oldest_ms)} ago"
    if group.is_dead:
        read = "it has no consumer" if group.idle_ms is None else f"no consumer has read for {age(group.idle_ms)}"
        words = f"{name} on {state.channel} seems dead: {read}, and it keeps {entries}, in memory. Start its subscriber"
        if is_only:
            # Without any group the entries would stay as well.
            yield warning(
                "dead groups", words, command("run", "subscriber", "MODULE:SUBSCRIPTIONS", "--group", state.group)
            )
        else:
            words = f"{words} or, if it has none any more, remove the group"
            yield warning("dead groups", words, command("groups", "rm", state.channel, state.group))
    else:
        words = f"{name} is behind on {state.channel}: it has not acknowledged {entries}"
        yield warning("progress", words, command("pending", state.channel, "--group", state.group))


def subscriptions_findings(leases: Iterable[LeaseState]) -> Iterator[Finding]:
    """Check which groups are read by instances with different subscriptions."""
    tables: dict[str, dict[str, set[str]]] = {}
    for lease in leases:
        tables.setdefault(lease.group, {}).setdefault(lease.subscriptions, set()).add(lease.owner)
    for group, owners_of in tables.items():
        if len(owners_of) > 1:
            sides = " and ".join(", ".join(sorted(owners)) for _, owners in sorted(owners_of.items()))
            words = (
                f"the subscribers of {group} have different subscriptions ({sides}): a queue that only some of them "
                "know misses the events that the others read. Stop those with the old table, then replay that time"
            )
            yield warning("subscriptions", printable(words), command("groups", "ls", "--consumers"))


def dead_letter_findings(states: Sequence[DeadLetterState]) -> Iterator[Finding]:
    """Check which channels have dead letters."""
    for state in states:
        words = f"{state.channel} has {plural(state.letters, 'dead letter')}"
        yield warning("dead letters", words, command("dead-letters", "ls", state.channel))
    if not states:
        yield ok("dead letters", "there are none")


def queue_findings(
    queues: Sequence[QueueState], unhandled: Iterable[UnhandledJobs], *, bull_prefix: str, now_ms: int
) -> Iterator[Finding]:
    """Check which queues have failed jobs, and jobs that wait for a build that handles them."""
    prefixed = () if bull_prefix == "bull" else ("--bull-prefix", bull_prefix)
    queue_of = {name: queue for queue, names in by_queue(state.queue for state in queues).items() for name in names}
    waiting = _joined(unhandled, queue_of)
    failed: dict[str, list[QueueState]] = {}
    for state in queues:
        if state.failed:
            failed.setdefault(queue_of[state.queue], []).append(state)
    for queue, states in failed.items():
        count, oldest_ms = sum(state.failed for state in states), max(state.oldest_failed_ms or 0 for state in states)
        first = "which" if count == 1 else "the first"
        jobs = f"{queue} has {plural(count, 'failed job')}, {first} failed"
        words = f"{jobs} {age(oldest_ms)} ago: failed jobs stay until they are retried or removed"
        yield warning("failed jobs", words, command("jobs", "ls", queue, *prefixed))
    for kind in waiting:
        newer = kind.error == UnknownEventVersionError.__name__
        why = "whose event version is newer than its workers know" if newer else "that no handler of its workers takes"
        names = ", ".join(kind.names[:3]) + (", ..." if len(kind.names) > 3 else "")
        oldest = f"the oldest added {age(now_ms - kind.oldest_ms)} ago"
        words = (
            f"{kind.queue} has {plural(kind.jobs, 'job')} {why} ({names}), {oldest}: they wait for an updated worker, "
            "and fail after 7 days by default"
        )
        yield warning("waiting jobs", words, command("jobs", "ls", kind.queue, "--error", kind.error, *prefixed))
    if not waiting and not failed:
        yield ok("jobs", f"none has failed permanently or waits for a handler, in {plural(len(queues), 'queue')}")


def _joined(unhandled: Iterable[UnhandledJobs], queue_of: Mapping[str, str]) -> list[UnhandledJobs]:
    """Return what waits for the same reason in the partitions of one queue together."""
    joined: dict[tuple[str, str], UnhandledJobs] = {}
    for kind in unhandled:
        queue = queue_of.get(kind.queue, kind.queue)
        other = joined.get((queue, kind.error))
        joined[queue, kind.error] = UnhandledJobs(
            queue=queue,
            error=kind.error,
            jobs=kind.jobs + (other.jobs if other else 0),
            names=tuple(sorted({*kind.names, *(other.names if other else ())})),
            oldest_ms=min(kind.oldest_ms, other.oldest_ms if other else kind.oldest_ms),
        )
    return [*joined.values()]
