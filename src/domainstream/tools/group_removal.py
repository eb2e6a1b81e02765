"""Removes a consumer group from a stream, unless it is in use."""

from typing import Final

from redis.asyncio import Redis

from domainstream.errors import DomainStreamError
from domainstream.queue.bullmq.add_calls import mark_field, marks_key
from domainstream.queue.bullmq.inspection import BullMQInspection
from domainstream.redis.keys import lease_key, stream_key
from domainstream.redis.nodes import RedisNodes
from domainstream.redis.scripts import Script
from domainstream.stream.inspection.groups import SUBSCRIPTIONS
from domainstream.text import printable
from domainstream.tools.common.formatting import age

IN_USE_MS: Final = 60_000
"""A group for which a consumer has read within this time is in use."""

# Checked and removed in one step: a subscriber that starts in between would lose its place in the stream. An instance
# shows by its lease that it is there, also while its queue takes no jobs and it reads nothing. The lease goes with the
# group: a group of this name that is made later gets a token of its own, so that no mark in a queue speaks of it.
_REMOVE: Final = Script.of("""
local time = redis.call('TIME')
local owner, till, token = unpack(redis.call('HMGET', KEYS[2], 'owner', 'until', 'token'))
if owner and owner ~= '' and tonumber(till) > time[1] * 1000 then return {owner, -1} end
for _, list in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local consumer = {}
  for i = 1, #list, 2 do consumer[list[i]] = list[i + 1] end
  if consumer['idle'] < tonumber(ARGV[2]) then return {consumer['name'], consumer['idle']} end
end
if ARGV[3] == 'remove' then
  redis.call('XGROUP', 'DESTROY', KEYS[1], ARGV[1])
  redis.call('DEL', KEYS[2])
end
return {token or ''}
""")


_FORGET: Final = Script.of("return redis.call('HDEL', KEYS[1], unpack(ARGV))")


class GroupInUseError(DomainStreamError):
    """A consumer reads for the group."""


class RedisGroupRemoval:
    """Removes the groups of the streams below a prefix. For one task. Raises the same errors as `StreamReader`."""

    def __init__(self, client: Redis | RedisNodes, *, prefix: str = "", bull_prefix: str = "bull") -> None:
        """Remove through `client`, which the caller closes; `bull_prefix` begins every key of BullMQ."""
        self._nodes = RedisNodes.of(client)
        self._prefix = prefix
        self._bull_prefix = bull_prefix

    async def check(self, channel: str, group: bytes) -> None:
        """Raise `GroupInUseError` if an instance holds its lease, or a consumer has read in the last minute."""
        await self._run(channel, group, "check")

    async def remove(self, channel: str, group: bytes) -> None:
        """Do `check`, then remove the group, whose entries stay in the stream, and its marks in the queues here."""
        token = await self._run(channel, group, "remove")
        if not token:
            return
        field = mark_field(group.decode(), stream_key(channel, self._prefix), token.decode())
        for queue in await BullMQInspection(self._nodes, bull_prefix=self._bull_prefix).queues():
            marks = marks_key(self._bull_prefix, queue)
            await self._nodes.call(_FORGET, [marks], field, f"{field}|holes")

    async def _run(self, channel: str, group: bytes, action: str) -> bytes:
        """Run the script, and return the token of the lease; empty if there is none."""
        stream = stream_key(channel, self._prefix)
        # A group whose name is not UTF-8 is not one of ours, and has no lease.
        keys = [stream, lease_key(stream, group.decode(errors="replace"))]
        first, *idle_ms = await self._nodes.call(_REMOVE, keys, group, IN_USE_MS, action)
        if not idle_ms:
            return bytes(first)
        user = f"the consumer {_shown(first)} has read {channel} for it {age(idle_ms[0])} ago"
        if idle_ms == [-1]:
            user = f"the instance {_shown(first).partition(SUBSCRIPTIONS)[0]} reads {channel} for it"
        raise GroupInUseError(
            f"the group {_shown(group)} is in use: {user}. Stop its subscriber, wait for a minute, and run this again"
        )


def _shown(name: bytes) -> str:
    return printable(name.decode(errors="backslashreplace"))
