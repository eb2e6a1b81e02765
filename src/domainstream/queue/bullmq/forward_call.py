"""The keys and arguments of one call of `forward.lua`, which says what they are."""

from collections.abc import Mapping, Sequence
from typing import Final

from domainstream.queue.bullmq.scripts import KEYS_OF_QUEUE, now_ms, packed_options, queue_key, script_for
from domainstream.queue.job import Job
from domainstream.queue.routed_entry import RoutedEntry
from domainstream.queue.settings import JobSettings
from domainstream.redis.keys import stream_key
from domainstream.stream.dead_letters.store import SUFFIX, dead_letter_fields

_BURIED: Final = -1

Argument = str | bytes | int
Kind = tuple[str, str, int]
Last = Mapping[str, str]
"""The last entry of each channel that was in a call."""


class ForwardCall:
    """Writes down parcels, each queue, channel and kind of job once."""

    def __init__(
        self, routed_entries: Sequence[RoutedEntry], before: Last, *, group: str, prefix: str, bull_prefix: str
    ) -> None:
        """Write down `routed_entries`, delivered to one consumer of `group`; what comes `before` must be settled."""
        self._before = before
        self._group = group
        self._prefix = prefix
        self._bull_prefix = bull_prefix
        self._queues: dict[str, int] = {}
        # By the settings' identity: hashing all their fields for each job is not free, and the jobs keep them alive.
        self._kinds: dict[Kind, int] = {}
        self._kind_settings: list[JobSettings] = []
        self._channels: dict[str, int] = {}
        self._entries: dict[str, list[str]] = {}
        self._routed_entries: list[Argument] = []
        for routed_entry in routed_entries:
            self._add(routed_entry)

    @property
    def last(self) -> Last:
        """The last entry of each channel, by this call and those before."""
        return {**self._before, **{channel: entries[-1] for channel, entries in self._entries.items()}}

    def arguments(self, consumer: str) -> list[Argument]:
        """The count of keys, the keys, and all arguments, for parcels that were delivered to `consumer`."""
        keys = self._keys()
        counts = (len(self._queues), len(self._kinds), len(self._channels))
        written: list[Argument] = [len(keys), *keys, self._group, consumer, now_ms(), *counts]
        for (queue, name, _), settings in zip(self._kinds, self._kind_settings, strict=True):
            written += (self._queues[queue], script_for(settings), name, packed_options(settings))
        for channel, entries in self._entries.items():
            written += (len(entries), entries[0], entries[-1], self._before.get(channel, ""))
        return written + self._routed_entries

    def _keys(self) -> list[str]:
        queues = [queue_key(self._bull_prefix, queue, name) for queue in self._queues for name in KEYS_OF_QUEUE]
        streams = [stream_key(channel, self._prefix) for channel in self._channels]
        return [*queues, *(key for stream in streams for key in (stream, stream + SUFFIX))]

    def _add(self, routed_entry: RoutedEntry) -> None:
        delivery, jobs = routed_entry.delivery, routed_entry.jobs
        channel = self._channels.setdefault(delivery.channel, len(self._channels) + 1)
        self._entries.setdefault(delivery.channel, []).append(delivery.entry_id)
        if routed_entry.letter:
            fields = dead_letter_fields(routed_entry.letter, self._group)
            self._routed_entries += (channel, delivery.entry_id, _BURIED, len(fields), *fields)
            return
        self._routed_entries += (channel, delivery.entry_id, len(jobs))
        if jobs:
            self._routed_entries.append(jobs[0].data)
        for job in jobs:
            self._routed_entries += (self._kind_of(job), job.id)

    def _kind_of(self, job: Job) -> int:
        kind = (job.queue, job.name, id(job.settings))
        known = self._kinds.get(kind)
        if known is None:
            self._queues.setdefault(job.queue, len(self._queues) + 1)
            self._kind_settings.append(job.settings)
            known = self._kinds[kind] = len(self._kinds) + 1
        return known
