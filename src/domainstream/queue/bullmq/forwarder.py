"""Forwards in one step on the server: jobs, dead letters, acknowledgement. Implements `port.Forwarder`.

One script call does a whole batch. When it fails, nothing is acknowledged, so nothing is lost; and it skips what was
acknowledged before, so nothing is added twice, however late a repeat is.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Final, Self

from domainstream.queue.bullmq.scripts import (
    KEYS,
    KEYS_OF_QUEUE,
    now_ms,
    own_script,
    packed_options,
    queue_key,
    script_for,
    script_text,
)
from domainstream.queue.port import RoutedEntry
from domainstream.queue.settings import JobSettings
from domainstream.redis.connection import not_a_cluster
from domainstream.redis.errors import SERVER_CODES
from domainstream.redis.keys import stream_key
from domainstream.redis.link import Arguments, RedisLink
from domainstream.redis.scripts import Script
from domainstream.stream.dead_letters import SUFFIX, dead_letter_fields
from domainstream.validation import plain_name

MAX_JOBS_PER_CALL: Final = 250
"""The server does nothing else for the 5 ms or so that these take."""

_DEAD_LETTER: Final = -1
"""The number of jobs that says: this entry is a dead letter."""

Argument = str | bytes | int
Kind = tuple[str, str, int]
"""Jobs that differ by id and data alone: their queue, their name, the identity of their settings."""

Last = Mapping[str, str]
"""The last entry of each channel that was in a call."""


def forward_script() -> str:
    """Return the text of the script, with BullMQ's own in it; raise `MissingExtraError` without the package."""
    adders = "\n".join(_as_function(name, script_text(name)) for name in KEYS)
    server_codes = ", ".join(f"{code} = true" for code in sorted(SERVER_CODES))
    return own_script("forward_batch").replace("--[[adders]]", adders).replace("--[[server_codes]]", server_codes)


# Why BullMQ's Lua is rewritten: its scripts add one job a call. A call per job would cost a round trip and a parse of
# the arguments for each, and could not be atomic with the acknowledgement; a copy of the scripts in this repository
# would drift away from what Node's BullMQ reads. So each installed script becomes the body of a function, in which
# KEYS and ARGV are parameters, and `cmsgpack.unpack` and `cjson.encode` are stand-ins that pass on what is unpacked
# and encoded already. Its top-level `local function`s are moved out of that body, so that they are made once a call of
# ours and not once a job.
#
# This relies on three properties of BullMQ's text: top-level functions begin with "local function" and end with "end"
# at the start of a line; they use nothing but `rcall`, the two stand-ins and each other; what they encode is the job's
# options alone. Tests guard them: test_scripts_are_the_ones_we_know compares the hash of each script, so that a new
# release is read before it is used, and the tests beside it run the result for each kind of job.
_FUNCTION: Final = re.compile(r"^local function .*?^end$", re.DOTALL | re.MULTILINE)

_STAND_INS: Final = """local rcall = redis.call
local cmsgpack = {unpack = function(value) return value end}
local cjson = {encode = function() return options_json end}"""


def _as_function(name: str, script: str) -> str:
    functions = "\n".join(_FUNCTION.findall(script))
    body = _FUNCTION.sub("", script)
    return f"make.{name} = function()\n{_STAND_INS}\n{functions}\nreturn function(KEYS, ARGV)\n{body}\nend\nend"


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
        self._script = Script.of(forward_script())
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
        self._queues: dict[str, int] = {}
        # By the settings' identity: hashing all their fields for each job is not free, and the jobs keep them alive.
        self._kinds: dict[Kind, int] = {}
        self._kind_settings: list[JobSettings] = []
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
        queues = [queue_key(self._bull_prefix, queue, name) for queue in self._queues for name in KEYS_OF_QUEUE]
        streams = [stream_key(channel, self._prefix) for channel in self._channels]
        keys = [*queues, *(key for stream in streams for key in (stream, stream + SUFFIX))]
        counts = (len(self._queues), len(self._kinds), len(self._channels))
        written: list[Argument] = [len(keys), *keys, self._group, consumer, now_ms(), *counts]
        for (queue, name, _), settings in zip(self._kinds, self._kind_settings, strict=True):
            written += (self._queues[queue], script_for(settings), name, packed_options(settings))
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
            kind = (job.queue, job.name, id(job.settings))
            number = self._kinds.get(kind)
            if number is None:
                self._queues.setdefault(job.queue, len(self._queues) + 1)
                self._kind_settings.append(job.settings)
                number = self._kinds[kind] = len(self._kinds) + 1
            self._encoded += (number, job.id)


def parts_of(entries: Sequence[RoutedEntry], max_jobs: int) -> Iterator[Sequence[RoutedEntry]]:
    """Split `entries` into parts of at most `max_jobs` jobs; an entry without jobs counts as one."""
    start = jobs = 0
    for end, entry in enumerate(entries):
        size = max(len(entry.jobs), 1)
        if jobs and jobs + size > max_jobs:
            yield entries[start:end]
            start, jobs = end, 0
        jobs += size
    if jobs:
        yield entries[start:]
