"""Removes consumers that are gone from a group. Implements `MaintenanceTask`."""

from collections.abc import Iterable
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any, Final, Self

from redis.asyncio import Redis

from domainstream.redis.connection import connect
from domainstream.redis.errors import translated_errors
from domainstream.redis.keys import stream_key
from domainstream.telemetry import Signal, emit
from domainstream.validation import plain_name, positive, raise_problems

EVERY: Final = timedelta(minutes=10)
IDLE: Final = timedelta(hours=1)

# Checked and removed in one step: a consumer that got an entry in between would lose it.
# Before Redis 7.2 a reader that waits for new entries counts as idle; it is created again with its next entry.
_REMOVE: Final = """
local removed = {}
local consumers = redis.pcall('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])
if consumers.err then return removed end
for _, list in ipairs(consumers) do
  local consumer = {}
  for i = 1, #list, 2 do consumer[list[i]] = list[i + 1] end
  local left = consumer['pending'] == 0 and consumer['idle'] >= tonumber(ARGV[3])
  if left and consumer['name'] ~= ARGV[2] then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], consumer['name'])
    removed[#removed + 1] = consumer['name']
  end
end
return removed
"""


class RedisIdleConsumerReaper:
    """Removes consumers that have nothing pending and have not read for a long time.

    A consumer with pending entries stays, however long it is idle: removing it would lose them. Readers take them over;
    then the consumer can be removed.
    """

    def __init__(
        self,
        client: Redis,
        channels: Iterable[str],
        *,
        group: str,
        consumer: str,
        prefix: str = "",
        idle: timedelta = IDLE,
        every: timedelta = EVERY,
    ) -> None:
        """Remove consumers idle for longer than `idle` from the streams of `channels`; the caller closes `client`.

        Raises `ConfigurationError` when a duration is not above zero.
        """
        durations = {"idle": idle, "every": every}
        raise_problems(
            "RedisIdleConsumerReaper", [positive(name, value, timedelta) for name, value in durations.items()]
        )
        self.group = plain_name(group)
        """The consumer group to clean up."""
        self.consumer = plain_name(consumer)
        """This instance's own consumer, which is never removed."""
        self.every = every
        """The pause between two rounds."""
        self._client = client
        self._channels = {plain_name(channel): stream_key(channel, prefix) for channel in channels}
        self._idle_ms = max(1, round(idle / timedelta(milliseconds=1)))
        self._remove: Any = client.register_script(_REMOVE)
        self._owned = AsyncExitStack()

    @classmethod
    def from_url(
        cls,
        url: str,
        channels: Iterable[str],
        *,
        group: str,
        consumer: str,
        prefix: str = "",
        idle: timedelta = IDLE,
        every: timedelta = EVERY,
    ) -> Self:
        """Return a reaper that owns its connection; the constructor says what the rest means."""
        client = connect(url)
        reaper = cls(client, channels, group=group, consumer=consumer, prefix=prefix, idle=idle, every=every)
        reaper._owned.push_async_callback(client.aclose)
        return reaper

    async def run_once(self) -> None:
        """Remove idle consumers, stream by stream; see `MaintenanceTask.run_once`."""
        for channel, key in self._channels.items():
            with translated_errors(self._client):
                removed: list[bytes] = await self._remove(keys=[key], args=[self.group, self.consumer, self._idle_ms])
            for name in removed:
                emit(
                    Signal.STREAM_CONSUMER_REMOVED,
                    group=self.group,
                    channel=channel,
                    consumer=name.decode(errors="replace"),
                )

    async def close(self) -> None:
        """Close the connections that it owns; see `MaintenanceTask.close`."""
        await self._owned.aclose()
