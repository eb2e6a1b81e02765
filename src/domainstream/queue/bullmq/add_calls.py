"""The calls that add the jobs of ordered channels to queues, wherever these are.

`lua/add_jobs.lua` and `lua/fence.lua` do the work; their headers say how.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import attrgetter
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import msgspec

from domainstream.queue.bullmq.job_batch import Argument, JobKinds, batch_script, parts_of
from domainstream.queue.bullmq.scripts import KEYS_OF_QUEUE, now_ms, own_script, queue_key
from domainstream.queue.port import ChannelEpoch, Fenced, RoutedEntry
from domainstream.queue.settings import OnFailure
from domainstream.redis.link import Arguments
from domainstream.redis.scripts import Script, lua_text
from domainstream.stream.state import id_order

_write = msgspec.json.Encoder().encode

UNORDERED: Final[Mapping[str, OnFailure]] = MappingProxyType({})

MAX_JOBS_PER_CALL: Final = 250
"""The server does nothing else for the 5 ms or so that these take."""


def mark_field(group: str, stream: str, token: str) -> str:
    """Return the field of a stream's mark: without the token, streams of one name on two servers would share it."""
    return f"{group}|{stream}|{token}"


def fence_script() -> Script:
    """Return the script that announces epochs to one queue."""
    return Script.of(_with_parts(own_script("fence")))


def add_script(*, in_order: bool = False) -> Script:
    """Return the script that adds jobs, also to queues whose jobs are handled `in_order`.

    Raises `MissingExtraError` without the package `bullmq`.
    """
    return Script.of(_with_parts(batch_script("add_jobs", in_order=in_order)))


Announcement = tuple[str, int, str, int, str]
"""The field of a channel's mark, its epoch, the group's last-delivered-id at the take, the epoch before, and the first
pending id, or an empty one.
"""


def fence_call(
    queue: str, channels: Sequence[Announcement], *, bull_prefix: str, leases: Sequence[str] = ()
) -> Arguments:
    """Return the call that announces epochs to a queue.

    `leases` are the keys of the channels' leases, where they are on the queues' server.
    """
    parts = [part for channel in channels for part in channel]
    return [1 + len(leases), marks_key(bull_prefix, queue), *leases, *parts]


def fenced_of(reply: Any) -> list[Fenced]:
    """Return what a call of `fence_call` returned, in the order of its channels."""
    return [Fenced(int(higher), mark.decode(), int(epoch)) for higher, mark, epoch in reply]


def marks_key(bull_prefix: str, queue: str) -> str:
    """Return the key of a queue's marks; no job's key is this, since ids of jobs have no colon."""
    return queue_key(bull_prefix, queue, "domainstream:marks")


class AddCall(NamedTuple):
    """A call that adds jobs, and what the numbers in its reply stand for."""

    arguments: Arguments
    """What follows the script."""

    channels: Sequence[str]
    """The channels, from number 1."""

    queues: Sequence[str]
    """The queues, from number 1."""


def add_calls(
    entries: Sequence[RoutedEntry],
    epochs: Mapping[str, ChannelEpoch],
    *,
    bull_prefix: str,
    bullmq_name: Callable[[str], str] = str,
    confirmed: bool = False,
    on_failure: Mapping[str, OnFailure] = UNORDERED,
) -> Iterator[AddCall]:
    """Yield the calls that add the jobs of `entries`, which are in order, and whose channels have these `epochs`.

    With `on_failure`, which has the queues whose jobs are handled in order, they are for the script that does that.
    `bullmq_name` returns the name under which BullMQ knows a queue. `confirmed` says that replicas are waited for: then
    a call writes something also if it adds nothing. Each may be sent before the reply to the one before: the server
    refuses it if that failed and they share a channel and a queue. `reached` of the epochs stays as it is, for
    `note_reached` to renew.
    """
    reached = {channel: dict(epoch.reached) for channel, epoch in epochs.items() if epoch.is_ordered}
    for part in parts_of(entries, MAX_JOBS_PER_CALL):
        yield _add_call(part, epochs, reached, _Options(bull_prefix, bullmq_name, confirmed, on_failure))
        _advance(reached, part)


def note_reached(entries: Sequence[RoutedEntry], epochs: Mapping[str, ChannelEpoch]) -> None:
    """Remember that all calls for these entries have succeeded."""
    _advance({channel: epoch.reached for channel, epoch in epochs.items() if epoch.is_ordered}, entries)
    if any(len(epoch.began) < len(epoch.queues) for epoch in epochs.values()):
        for entry in entries:
            for job in entry.jobs:
                epochs[entry.delivery.channel].began.setdefault(job.queue, entry.delivery.entry_id)


class _Options(NamedTuple):
    bull_prefix: str
    bullmq_name: Callable[[str], str]
    confirmed: bool
    on_failure: Mapping[str, OnFailure]


def _add_call(
    entries: Sequence[RoutedEntry],
    epochs: Mapping[str, ChannelEpoch],
    reached: Mapping[str, Mapping[str, str]],
    options: _Options,
) -> AddCall:
    bull_prefix, bullmq_name, confirmed, on_failure = options
    kinds, channels, encoded = JobKinds(), dict[str, int](), list[Argument]()
    given_up: set[str] = set()
    for entry in entries:
        delivery, jobs = entry.delivery, entry.jobs
        channel = channels.setdefault(delivery.channel, len(channels) + 1)
        trace = jobs[0].trace if jobs else ""
        encoded += (channel, delivery.entry_id, -len(jobs) if trace else len(jobs))
        if not jobs:
            given_up.add(delivery.channel)
            continue
        encoded.append(jobs[0].data)
        if trace:
            encoded.append(_write(trace))
        # A queue's mark moves after the last of its jobs.
        for job in sorted(jobs, key=attrgetter("queue")) if len(jobs) > 2 else jobs:
            encoded += (kinds.number_of(job), job.id)
            if on_failure:
                encoded += (job.order_key, job.order_place)
    heads: list[Argument] = []
    with_jobs = frozenset(kinds.queues)
    for channel_name in channels:
        epoch, so_far = epochs[channel_name], reached.get(channel_name, {})
        # An entry that is given up may be a hole in any queue; otherwise the queues that get no jobs are left out.
        queues = epoch.queues if channel_name in given_up else [one for one in epoch.queues if one in with_jobs]
        heads += (epoch.mark, epoch.epoch, "o" if epoch.is_ordered else "c", len(queues))
        for queue in queues:
            heads += (kinds.number_of_queue(queue), so_far.get(queue, ""))
    keys: list[str] = []
    names = (*KEYS_OF_QUEUE, "waiting-children") if on_failure else KEYS_OF_QUEUE
    for queue in kinds.queues:
        name = bullmq_name(queue)
        keys += (*(queue_key(bull_prefix, name, key) for key in names), marks_key(bull_prefix, name))
    counts = (len(kinds), len(channels), int(confirmed))
    arguments = [len(keys), *keys, now_ms(), *counts, *kinds.arguments(on_failure), *heads, *encoded]
    return AddCall(arguments, list(channels), list(kinds.queues))


def _advance(reached: Mapping[str, dict[str, str]], entries: Sequence[RoutedEntry]) -> None:
    last = {(entry.delivery.channel, job.queue): entry.delivery.entry_id for entry in entries for job in entry.jobs}
    for (channel, queue), entry_id in last.items():
        queues = reached.get(channel, {})
        queues[queue] = max(queues.get(queue, "0-0"), entry_id, key=id_order)  # an entry may be added late


def _with_parts(text: str) -> str:
    entry_ids = lua_text("domainstream.stream", "entry_ids")
    marks = lua_text("domainstream.queue.bullmq.lua", "marks")
    return text.replace("--[[entry_ids]]", entry_ids).replace("--[[marks]]", marks)
