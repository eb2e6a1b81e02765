"""The instances that share the streams of a group: each says now and then that it is there, and hears of the others."""

from collections.abc import Iterable
from datetime import timedelta
from hashlib import blake2b
from typing import Final

from domainstream.redis.call_lane import CallLanes
from domainstream.redis.errors import server_error
from domainstream.redis.keys import stream_key
from domainstream.redis.scripts import Script, lua_text
from domainstream.validation import plain_name

MEMBERS: Final = Script.of(lua_text("domainstream.stream.reader", "members"))


class RedisGroupMembers:
    """The members of a group that read the same streams. Implements `GroupMembers`."""

    def __init__(
        self, lanes: CallLanes, streams: Iterable[str], *, group: str, instance: str, prefix: str, term: timedelta
    ) -> None:
        """Ask over `lanes`, which the caller closes; `term` is how long an instance is a member that does not call."""
        self.instance = instance
        """The name of this instance, which no other has."""
        # During a deployment some instances read streams that others do not know: neither may leave them to the other.
        self._kind = blake2b("\n".join(sorted(streams)).encode(), digest_size=6).hexdigest()
        self._lanes = lanes
        self._key = stream_key(f"{plain_name(group)}:members", prefix)
        self._term_ms = max(1, round(term.total_seconds() * 1000))

    async def beat(self) -> frozenset[str]:
        """Be a member for another term, and return all members; see `GroupMembers.beat`."""
        return await self._call(self._term_ms)

    async def leave(self) -> None:
        """Be a member no longer."""
        await self._call(0)

    async def _call(self, term_ms: int) -> frozenset[str]:
        own = f"{self._kind} {self.instance}"
        (reply,), _ = await self._lanes.of(self._key).eval(MEMBERS, [("1", self._key, own, str(term_ms))])
        if isinstance(reply, Exception):
            raise server_error(reply, self._lanes.topology.place) from None
        named = (each.decode().split(" ", 1) for each in reply)
        return frozenset(instance for kind, instance in named if kind == self._kind)
