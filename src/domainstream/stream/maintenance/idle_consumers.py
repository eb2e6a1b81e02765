"""Removes the names that consumers have left behind in a group. Implements `port.MaintenanceTask`."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any, Final, Self

from redis.asyncio import Redis

from domainstream.redis.connection import connect
from domainstream.redis.errors import translated_errors
from domainstream.redis.keys import stream_key
from domainstream.telemetry import Signal, emit
from domainstream.validation import positive, raise_problems

EVERY: Final = timedelta(minutes=10)
IDLE: Final = timedelta(hours=1)

# Looking and removing in one step: a consumer that got an entry in between would lose it.
# Before Redis 7.2 a reader that waits for news counts as idle; it comes back with its next entry.
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
    """Removes consumers that have nothing pending and have not asked for entries for long.

    What has something pending stays, however long it is idle: removing a consumer loses its pending entries. Readers
    take those over; then the name can go.
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
        """Remove who is `idle` for so long on the streams of `channels`, through `client`, which is then owned.

        Raises `ConfigurationError` when a duration is not above zero.
        """
        durations = {"idle": idle, "every": every}
        raise_problems(
            "RedisIdleConsumerReaper", [positive(name, value, timedelta) for name, value in durations.items()]
        )
        self.group = group
        """The consumer group to keep tidy."""
        self.consumer = consumer
        """This instance's own name, which always stays."""
        self.every = every
        """The pause between two rounds."""
        self._client = client
        self._channels = {str(channel): stream_key(channel, prefix) for channel in channels}
        self._idle_ms = max(1, round(idle / timedelta(milliseconds=1)))
        self._remove: Any = client.register_script(_REMOVE)

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
        """Return this upkeep with a connection of its own; the constructor says what the rest means."""
        client = connect(url)
        return cls(client, channels, group=group, consumer=consumer, prefix=prefix, idle=idle, every=every)

    async def run_once(self) -> None:
        """Remove what is left behind, stream by stream; see `port.MaintenanceTask.run_once`."""
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
        """Close the connection; see `port.MaintenanceTask.close`."""
        await self._client.aclose()
