"""Removes a consumer group from a stream, unless it is in use."""

from typing import Final

from redis.asyncio import Redis

from domainstream.errors import DomainStreamError
from domainstream.redis.keys import lease_key, stream_key
from domainstream.redis.nodes import RedisNodes
from domainstream.redis.scripts import Script
from domainstream.text import printable
from domainstream.tools.common.formatting import age

IN_USE_MS: Final = 60_000
"""A group for which a consumer has read within this time is in use."""

# Checked and removed in one step: a subscriber that starts in between would lose its place in the stream. The lease
# goes with the group: by its token queues know what they have had, and a group of this name that is made later must get
# another one. The lease is also how an instance shows that it is there while nothing is published.
_REMOVE: Final = Script.of("""
local time = redis.call('TIME')
local owner, till = unpack(redis.call('HMGET', KEYS[2], 'owner', 'until'))
if owner and owner ~= '' and tonumber(till) > time[1] * 1000 then return {owner, 0} end
for _, list in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local consumer = {}
  for i = 1, #list, 2 do consumer[list[i]] = list[i + 1] end
  if consumer['idle'] < tonumber(ARGV[2]) then return {consumer['name'], consumer['idle']} end
end
if ARGV[3] == 'remove' then
  redis.call('XGROUP', 'DESTROY', KEYS[1], ARGV[1])
  redis.call('DEL', KEYS[2])
end
return {}
""")


class GroupInUseError(DomainStreamError):
    """A consumer reads for the group."""


class RedisGroupRemoval:
    """Removes the groups of the streams below a prefix. For one task. Raises the same errors as `StreamReader`."""

    def __init__(self, client: Redis | RedisNodes, *, prefix: str = "") -> None:
        """Remove through `client`, which the caller closes."""
        self._nodes = RedisNodes.of(client)
        self._prefix = prefix

    async def check(self, channel: str, group: bytes) -> None:
        """Raise `GroupInUseError` if a consumer has read for the group in the last minute."""
        await self._run(channel, group, "check")

    async def remove(self, channel: str, group: bytes) -> None:
        """Do `check`, then remove the group, whose entries stay in the stream."""
        await self._run(channel, group, "remove")

    async def _run(self, channel: str, group: bytes, action: str) -> None:
        stream = stream_key(channel, self._prefix)
        # A group whose name is not UTF-8 is not one of ours, and has no lease.
        keys = [stream, lease_key(stream, group.decode(errors="replace"))]
        used = await self._nodes.call(_REMOVE, keys, group, IN_USE_MS, action)
        if used:
            name, idle_ms = used
            raise GroupInUseError(
                f"the group {_shown(group)} is in use: the consumer {_shown(name)} has read {channel} for it "
                f"{age(idle_ms)} ago. Stop its subscriber, wait for a minute, and run this again"
            )


def _shown(name: bytes) -> str:
    return printable(name.decode(errors="backslashreplace"))
