"""Keeps two subscribers from reading under one consumer name. Implements `MaintenanceTask`.

Redis does not tell two processes apart that read as the same consumer. Each would take the other's pending entries for
its own, and handle them again, out of order. So a name is leased. A subscriber that is killed cannot give its lease
back, and must not wait for it either: its successor sees within about a second that nothing renews the lease any more,
and takes it over, together with the entries that are pending in that name.
"""

import asyncio
import os
import secrets
import socket
from collections.abc import Iterable
from contextlib import suppress
from datetime import timedelta
from time import monotonic
from typing import Any, Final

from redis.asyncio import Redis

from domainstream.errors import ServerError, ServerOutOfMemoryError, ServerRefusedError, ServerUnavailableError
from domainstream.redis.errors import translated_errors
from domainstream.redis.keys import companion_key, stream_key
from domainstream.redis.scripts import lua_text
from domainstream.telemetry import Signal, emit
from domainstream.validation import plain_name, raise_problems

EVERY: Final = timedelta(seconds=0.5)
"""The pause between two renewals."""

LIFETIME_MS: Final = 4_000
"""How long a lease lasts without a renewal. A name that is not in use any more is free at the latest then."""

STALE_MS: Final = 2_750
"""A lease with less than this left has missed two renewals: whoever wants the name may take it."""

WATCH: Final = 1.5
"""Seconds that a newcomer waits for a lease to become stale: longer than that takes if its holder is dead."""

RELEASE_TIMEOUT: Final = 1.0
"""Seconds to give a lease back."""

_TAKE: Final = lua_text("domainstream.stream.maintenance", "consumer_lease")
_RELEASE: Final = """
for _, key in ipairs(KEYS) do
  if redis.call('GET', key) == ARGV[1] then redis.call('DEL', key) end
end
"""


class RedisConsumerLease:
    """Holds a consumer name of a group, on each of its streams, for one process."""

    def __init__(
        self,
        client: Redis,
        channels: Iterable[str],
        *,
        group: str,
        consumer: str,
        prefix: str = "",
        subscriptions: str = "",
    ) -> None:
        """Hold the name `consumer` on the streams of `channels` through `client`, which the caller closes.

        `subscriptions` is the digest of the holder's subscriptions, for whoever looks at the lease.
        """
        self.every = EVERY
        """The pause between two renewals."""
        self._group, self._consumer = plain_name(group), plain_name(consumer)
        self._client = client
        name = f"consumer:{self._group}:{self._consumer}"
        self._keys = [companion_key(stream_key(channel, prefix), name) for channel in channels]
        self._token = f"process {os.getpid()} on {socket.gethostname()} ({secrets.token_hex(8)})"
        if subscriptions:
            self._token += f" with subscriptions {subscriptions}"
        self._take: Any = client.register_script(_TAKE)
        self._release: Any = client.register_script(_RELEASE)
        self._held = False

    async def acquire(self) -> None:
        """Take the name, from a dead holder if need be, which takes about a second.

        Raises `ConfigurationError` if a living one holds it, and the errors of `StreamReader` when the server does not
        answer. A user who may not run the script is let through with a warning: the lease is a protection, and reading
        needs none.
        """
        began = asked = monotonic()
        while holder := await self._other_holder():
            # What counts is when it was asked: a program that has just started is busy, and reads an answer late.
            if asked - began > WATCH:
                raise_problems("The subscriber", [self._taken_by(holder)])
            await asyncio.sleep(EVERY.total_seconds() / 5)
            asked = monotonic()

    async def run_once(self) -> None:
        """Renew the lease. Raises `ConfigurationError` when another process has taken the name over.

        A server that does not answer is left to the reader to report.
        """
        if self._held:
            with suppress(ServerUnavailableError, ServerOutOfMemoryError):
                holder = await self._other_holder()
                raise_problems("The subscriber", [self._taken_by(holder) if holder else None])

    async def close(self) -> None:
        """Give the name back, unless the server does not answer; see `MaintenanceTask.close`."""
        if self._held:
            self._held = False
            with suppress(ServerError, TimeoutError):
                async with asyncio.timeout(RELEASE_TIMEOUT):
                    with translated_errors(self._client):
                        await self._release(keys=self._keys, args=[self._token])

    async def _other_holder(self) -> str:
        """Take or renew the lease; return who else holds it, empty if nobody does."""
        try:
            with translated_errors(self._client):
                holders: list[bytes] = await self._take(keys=self._keys, args=[self._token, LIFETIME_MS, STALE_MS])
        except ServerRefusedError as error:
            self._held = False
            emit(Signal.STREAM_CONSUMER_UNGUARDED, group=self._group, consumer=self._consumer, reason=error)
            return ""
        except ServerOutOfMemoryError as error:
            if self._held:
                raise
            # A subscriber that waits for memory must be able to start; the lease is taken once there is some.
            self._held = True
            emit(Signal.STREAM_CONSUMER_UNGUARDED, group=self._group, consumer=self._consumer, reason=error)
            return ""
        self._held = not holders
        return holders[0].decode(errors="replace") if holders else ""

    def _taken_by(self, holder: str) -> str:
        return (
            f"consumer {self._consumer!r} of group {self._group!r} is in use by {holder}, and would share its pending "
            "entries; pass consumer=... with a name of its own, or set DOMAINSTREAM_CONSUMER"
        )
