"""Removes a consumer group from a stream, unless it is in use."""

from typing import Any, Final

from redis.asyncio import Redis

from domainstream.errors import DomainStreamError
from domainstream.redis.errors import translated_errors
from domainstream.redis.keys import stream_key
from domainstream.text import printable
from domainstream.tools.common.formatting import age

IN_USE_MS: Final = 60_000
"""A group for which a consumer has read within this time is in use."""

# Checked and removed in one step: a subscriber that starts in between would lose its place in the stream.
_REMOVE: Final = """
for _, list in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local consumer = {}
  for i = 1, #list, 2 do consumer[list[i]] = list[i + 1] end
  if consumer['idle'] < tonumber(ARGV[2]) then return {consumer['name'], consumer['idle']} end
end
if ARGV[3] == 'remove' then redis.call('XGROUP', 'DESTROY', KEYS[1], ARGV[1]) end
return {}
"""


class GroupInUseError(DomainStreamError):
    """A consumer reads for the group."""


class RedisGroupRemoval:
    """Removes the groups of the streams below a prefix. For one task. Raises the same errors as `StreamReader`."""

    def __init__(self, client: Redis, *, prefix: str = "") -> None:
        """Remove through `client`, which the caller closes."""
        self._client: Any = client
        self._prefix = prefix

    async def check(self, channel: str, group: bytes) -> None:
        """Raise `GroupInUseError` if a consumer has read for the group in the last minute."""
        await self._run(channel, group, "check")

    async def remove(self, channel: str, group: bytes) -> None:
        """Do `check`, then remove the group, whose entries stay in the stream."""
        await self._run(channel, group, "remove")

    async def _run(self, channel: str, group: bytes, action: str) -> None:
        with translated_errors(self._client):
            used = await self._client.eval(_REMOVE, 1, stream_key(channel, self._prefix), group, IN_USE_MS, action)
        if used:
            name, idle_ms = used
            raise GroupInUseError(
                f"the group {_shown(group)} is in use: the consumer {_shown(name)} has read {channel} for it "
                f"{age(idle_ms)} ago. Stop its subscriber, wait for a minute, and run this again"
            )


def _shown(name: bytes) -> str:
    return printable(name.decode(errors="backslashreplace"))
