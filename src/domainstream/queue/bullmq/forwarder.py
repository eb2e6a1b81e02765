"""Hands over in one step on the server: jobs, dead letters, acknowledgement. Implements `port.Forwarder`.

One script call does a whole batch. It fails as a whole before anything is acknowledged, so nothing is lost; and it
passes over what was acknowledged before, so nothing comes twice, however late a repeat is.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final, Self

from redis.asyncio import Redis

from domainstream.queue.bullmq.forward_call import ForwardCall, Last
from domainstream.queue.bullmq.scripts import KEYS, own_script, script_text
from domainstream.queue.routed_entry import RoutedEntry
from domainstream.redis.connection import connect, link_pool_like
from domainstream.redis.link import Arguments, RedisLink
from domainstream.redis.scripts import Script

MOST_JOBS: Final = 250
"""Jobs of one call: the server does nothing else for the 5 ms or so that these take."""


def forward_script() -> str:
    """Return the text of the script, with BullMQ's own in it; raise `MissingExtraError` without the package."""
    adders = "\n".join(_as_function(name, script_text(name)) for name in KEYS)
    return own_script("forward_batch").replace("--[[adders]]", adders)


_FUNCTION: Final = re.compile(r"^local function .*?^end$", re.DOTALL | re.MULTILINE)


def _as_function(name: str, script: str) -> str:
    """Make a function of a script of BullMQ, its local functions outside, so that not each job makes them anew.

    Its local functions may use `rcall`, the two libraries that stand in for the server's, and each other, and do: tests
    run the script for each kind of job, and know the hash of BullMQ's.
    """
    functions = "\n".join(_FUNCTION.findall(script))
    body = _FUNCTION.sub("", script)
    return f"make.{name} = function()\n{_STAND_INS}\n{functions}\nreturn function(KEYS, ARGV)\n{body}\nend\nend"


_STAND_INS: Final = """local rcall = redis.call
local cmsgpack = {unpack = function(value) return value end}
local cjson = {encode = function() return options_json end}"""


class BullMQForwarder:
    """A `Forwarder` for queues on the same server as the streams."""

    def __init__(
        self, client: Redis, *, group: str, consumer: str, prefix: str = "", bull_prefix: str = "bull"
    ) -> None:
        """Work through `client`, which is then owned; `prefix` begins every stream's key, `bull_prefix` BullMQ's."""
        self.group = group
        """The consumer group in whose name entries are acknowledged."""
        self.consumer = consumer
        """The consumer they were delivered to; what is another's is passed over."""
        self._prefix = prefix
        self._bull_prefix = bull_prefix
        self._client = client
        self._link = RedisLink(link_pool_like(client))
        self._script = Script.of(forward_script())

    @classmethod
    def from_url(cls, url: str, *, group: str, consumer: str, prefix: str = "", bull_prefix: str = "bull") -> Self:
        """Return a hand-over with a connection of its own; the constructor says what the rest means."""
        return cls(connect(url), group=group, consumer=consumer, prefix=prefix, bull_prefix=bull_prefix)

    async def forward(self, routed_entries: Sequence[RoutedEntry]) -> None:
        """Hand over, in calls of so many jobs that the server is not held up; see `port.Forwarder.forward`.

        The next call is on its way before the answer to one is here, but the server refuses it if that one failed and
        they share a channel: its events must not overtake.
        """
        await self._link.run(self._script, self._calls(routed_entries))

    async def close(self) -> None:
        """Close the connection; see `port.Forwarder.close`."""
        await self._link.close()
        await self._client.aclose()

    def _calls(self, routed_entries: Sequence[RoutedEntry]) -> Iterator[Arguments]:
        last: Last = {}
        for part in parts_of(routed_entries, MOST_JOBS):
            call = ForwardCall(part, last, group=self.group, prefix=self._prefix, bull_prefix=self._bull_prefix)
            yield call.arguments(self.consumer)
            last = call.last


def parts_of(routed_entries: Sequence[RoutedEntry], most_jobs: int) -> Iterator[Sequence[RoutedEntry]]:
    """Cut `routed_entries` into parts of at most `most_jobs` jobs; an entry without jobs counts as one."""
    start = jobs = 0
    for end, routed_entry in enumerate(routed_entries):
        size = max(len(routed_entry.jobs), 1)
        if jobs and jobs + size > most_jobs:
            yield routed_entries[start:end]
            start, jobs = end, 0
        jobs += size
    if jobs:
        yield routed_entries[start:]
