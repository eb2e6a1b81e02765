"""Forwards in one step on the server: jobs, dead letters, acknowledgement. Implements `port.Forwarder`.

One script call does a whole batch. When it fails, nothing is acknowledged, so nothing is lost; and it skips what was
acknowledged before, so nothing is added twice, however late a repeat is.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Final, Self

from domainstream.queue.bullmq.job_batch import Argument, JobKinds, batch_script, parts_of
from domainstream.queue.bullmq.scripts import KEYS_OF_QUEUE, now_ms, queue_key
from domainstream.queue.port import RoutedEntry
from domainstream.redis.connection import not_a_cluster
from domainstream.redis.keys import stream_key
from domainstream.redis.link import Arguments, RedisLink
from domainstream.redis.scripts import Script
from domainstream.stream.dead_letters import SUFFIX, dead_letter_fields
from domainstream.validation import plain_name

MAX_JOBS_PER_CALL: Final = 250
"""The server does nothing else for the 5 ms or so that these take."""

_DEAD_LETTER: Final = -1
"""The number of jobs that says: this entry is a dead letter."""

Last = Mapping[str, str]
"""The last entry of each channel that was in a call."""


class BullMQForwarder:
    """A `Forwarder` for queues on the same server as the streams."""

    def __init__(
        self, link: RedisLink, *, group: str, consumer: str, prefix: str = "", bull_prefix: str = "bull"
    ) -> None:
        """Work through `link`, which the caller closes; `prefix` begins every stream's key, `bull_prefix` BullMQ's.

        Raises `MissingExtraError` without the package `bullmq`.
        """
        self.group = plain_name(group)
        """The consumer group in whose name entries are acknowledged."""
        self.consumer = plain_name(consumer)
        """The consumer they were delivered to; entries of other consumers are skipped."""
        self._prefix = prefix
        self._bull_prefix = plain_name(bull_prefix)
        self._link = link
        self._script = Script.of(batch_script("forward_batch"))
        self._owned = AsyncExitStack()

    @classmethod
    def from_url(cls, url: str, *, group: str, consumer: str, prefix: str = "", bull_prefix: str = "bull") -> Self:
        """Return a forwarder that owns its connection; the constructor says what the rest means.

        Raises `ConfigurationError` for an invalid URL, and for a cluster.
        """
        link = RedisLink.from_url(not_a_cluster(url))
        forwarder = cls(link, group=group, consumer=consumer, prefix=prefix, bull_prefix=bull_prefix)
        forwarder._owned.push_async_callback(link.close)
        return forwarder

    async def forward(self, entries: Sequence[RoutedEntry]) -> None:
        """Forward in calls small enough not to hold up the server; see `port.Forwarder.forward`.

        The next call is sent before the reply to the previous one arrives, but the server rejects it if that one failed
        and they share a channel: its events must not overtake.
        """
        await self._link.run(self._script, self._calls(entries))

    async def close(self) -> None:
        """Close the connection if it owns one; see `port.Forwarder.close`."""
        await self._owned.aclose()

    def _calls(self, entries: Sequence[RoutedEntry]) -> Iterator[Arguments]:
        last: Last = {}
        for part in parts_of(entries, MAX_JOBS_PER_CALL):
            call = ForwardCall(part, last, group=self.group, prefix=self._prefix, bull_prefix=self._bull_prefix)
            yield call.arguments(self.consumer)
            last = call.last


class ForwardCall:
    """The keys and arguments of one call of `forward_batch.lua`, whose header describes them.

    Each queue, channel and kind of job is written once.
    """

    def __init__(
        self, entries: Sequence[RoutedEntry], before: Last, *, group: str, prefix: str, bull_prefix: str
    ) -> None:
        """Encode `entries`, delivered to one consumer of `group`; the entries of `before` must be settled first."""
        self._before = before
        self._group = group
        self._prefix = prefix
        self._bull_prefix = plain_name(bull_prefix)
        self._kinds = JobKinds()
        self._channels: dict[str, int] = {}
        self._entry_ids: dict[str, list[str]] = {}
        self._encoded: list[Argument] = []
        for entry in entries:
            self._add(entry)

    @property
    def last(self) -> Last:
        """The last entry of each channel, by this call and those before."""
        return {**self._before, **{channel: entry_ids[-1] for channel, entry_ids in self._entry_ids.items()}}

    def arguments(self, consumer: str) -> list[Argument]:
        """Return the count of keys, the keys, and all arguments, for entries that were delivered to `consumer`."""
        kinds = self._kinds
        queues = [queue_key(self._bull_prefix, queue, name) for queue in kinds.queues for name in KEYS_OF_QUEUE]
        streams = [stream_key(channel, self._prefix) for channel in self._channels]
        keys = [*queues, *(key for stream in streams for key in (stream, stream + SUFFIX))]
        counts = (len(kinds.queues), len(kinds), len(self._channels))
        written: list[Argument] = [len(keys), *keys, self._group, consumer, now_ms(), *counts]
        written += kinds.arguments()
        for channel, entry_ids in self._entry_ids.items():
            written += (len(entry_ids), entry_ids[0], entry_ids[-1], self._before.get(channel, ""))
        return written + self._encoded

    def _add(self, entry: RoutedEntry) -> None:
        delivery, jobs = entry.delivery, entry.jobs
        channel = self._channels.setdefault(delivery.channel, len(self._channels) + 1)
        self._entry_ids.setdefault(delivery.channel, []).append(delivery.entry_id)
        if entry.dead_letter:
            fields = dead_letter_fields(entry.dead_letter, self._group)
            self._encoded += (channel, delivery.entry_id, _DEAD_LETTER, len(fields), *fields)
            return
        self._encoded += (channel, delivery.entry_id, len(jobs))
        if jobs:
            self._encoded.append(jobs[0].data)
        for job in jobs:
            self._encoded += (self._kinds.number_of(job), job.id)
