"""Adds the jobs of ordered channels to queues that may lie on another server than the streams.

`lua/add_jobs.lua` and `lua/fence.lua` do the work; their headers say how.
"""

from collections.abc import Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any, Final

from msgspec import Struct, field

from domainstream.queue.bullmq.job_batch import Argument, JobKinds, batch_script, parts_of
from domainstream.queue.bullmq.scripts import KEYS_OF_QUEUE, now_ms, own_script, queue_key
from domainstream.queue.port import RoutedEntry
from domainstream.redis.link import Arguments
from domainstream.redis.scripts import Script, lua_text

MAX_JOBS_PER_CALL: Final = 250
"""The server does nothing else for the 5 ms or so that these take."""


class ChannelEpoch(Struct, kw_only=True):
    """A channel in the hands of one owner, from one take of its lease to the next."""

    mark: str
    """The field of its mark in each queue; `mark_field` makes it."""

    epoch: int
    """The number of the take."""

    queues: Sequence[str]
    """The queues that get its jobs, and whose servers have accepted the epoch."""

    is_ordered: bool = True
    """False for entries that were claimed from other consumers: their queues' marks say nothing of them."""

    reached: dict[str, str] = field(default_factory=dict)
    """For each queue, the last entry that was added to it in this epoch: its mark cannot be before that."""


class Fenced(Struct, frozen=True):
    """What a queue said to a channel's new epoch."""

    higher: int
    """The epoch of a later owner, which the queue keeps to; 0 if it accepts this one."""

    mark: str
    """The id of the mark before; empty if there was none."""

    mark_epoch: int
    """The epoch of the mark before; 0 if there was none."""


def mark_field(group: str, stream: str, token: str) -> str:
    """Return the field of a stream's mark: without the token, streams of one name on two servers would share it."""
    return f"{group}|{stream}|{token}"


def fence_script() -> Script:
    """Return the script that announces epochs to one queue."""
    return Script.of(_with_parts(own_script("fence")))


def add_script() -> Script:
    """Return the script that adds jobs; raise `MissingExtraError` without the package `bullmq`."""
    return Script.of(_with_parts(batch_script("add_jobs")))


def fence_call(queue: str, channels: Sequence[tuple[str, int, str]], *, bull_prefix: str) -> Arguments:
    """Return the call that announces epochs to a queue: field of the mark, epoch, last-delivered-id at the take."""
    return [1, marks_key(bull_prefix, queue), *(part for channel in channels for part in channel)]


def fenced_of(reply: Any) -> list[Fenced]:
    """Return what a call of `fence_call` returned, in the order of its channels."""
    return [Fenced(int(higher), mark.decode(), int(epoch)) for higher, mark, epoch in reply]


def marks_key(bull_prefix: str, queue: str) -> str:
    """Return the key of a queue's marks; no job's key is this, since ids of jobs have no colon."""
    return queue_key(bull_prefix, queue, "domainstream:marks")


def add_calls(
    entries: Sequence[RoutedEntry], epochs: Mapping[str, ChannelEpoch], *, bull_prefix: str
) -> Iterator[Arguments]:
    """Yield the calls that add the jobs of `entries`, which are in order, and whose channels have these `epochs`.

    Each may be sent before the reply to the one before: the server refuses it if that failed and they share a channel
    and a queue. `reached` of the epochs is renewed only after success, by `note_reached`.
    """
    reached = {channel: dict(epoch.reached) for channel, epoch in epochs.items() if epoch.is_ordered}
    for part in parts_of(entries, MAX_JOBS_PER_CALL):
        yield _add_call(part, epochs, reached, bull_prefix)
        _advance(reached, part)


def note_reached(entries: Sequence[RoutedEntry], epochs: Mapping[str, ChannelEpoch]) -> None:
    """Remember that all calls for these entries have succeeded."""
    _advance({channel: epoch.reached for channel, epoch in epochs.items() if epoch.is_ordered}, entries)


def _add_call(
    entries: Sequence[RoutedEntry],
    epochs: Mapping[str, ChannelEpoch],
    reached: Mapping[str, Mapping[str, str]],
    bull_prefix: str,
) -> list[Argument]:
    kinds, channels, encoded = JobKinds(), dict[str, int](), list[Argument]()
    for entry in entries:
        delivery, jobs = entry.delivery, entry.jobs
        channel = channels.setdefault(delivery.channel, len(channels) + 1)
        encoded += (channel, delivery.entry_id, len(jobs))
        if not jobs:
            continue
        encoded.append(jobs[0].data)
        # A queue's mark moves after the last of its jobs.
        for job in sorted(jobs, key=attrgetter("queue")) if len(jobs) > 2 else jobs:
            encoded += (kinds.number_of(job), job.id)
    heads: list[Argument] = []
    for channel_name in channels:
        epoch, so_far = epochs[channel_name], reached.get(channel_name, {})
        heads += (epoch.mark, epoch.epoch, "o" if epoch.is_ordered else "c", len(epoch.queues))
        for queue in epoch.queues:
            heads += (kinds.number_of_queue(queue), so_far.get(queue, ""))
    keys = [
        key
        for queue in kinds.queues
        for key in (*(queue_key(bull_prefix, queue, name) for name in KEYS_OF_QUEUE), marks_key(bull_prefix, queue))
    ]
    return [len(keys), *keys, now_ms(), len(kinds), len(channels), *kinds.arguments(), *heads, *encoded]


def _advance(reached: Mapping[str, dict[str, str]], entries: Sequence[RoutedEntry]) -> None:
    last = {(entry.delivery.channel, job.queue): entry.delivery.entry_id for entry in entries for job in entry.jobs}
    for (channel, queue), entry_id in last.items():
        queues = reached.get(channel, {})
        queues[queue] = max(queues.get(queue, "0-0"), entry_id, key=_numbers)  # an entry may be added late


def _numbers(entry_id: str) -> tuple[int, int]:
    milliseconds, _, number = entry_id.partition("-")
    return int(milliseconds), int(number)


def _with_parts(text: str) -> str:
    entry_ids = lua_text("domainstream.stream", "entry_ids")
    marks = lua_text("domainstream.queue.bullmq.lua", "marks")
    return text.replace("--[[entry_ids]]", entry_ids).replace("--[[marks]]", marks)
