"""The instances that share the streams of a group: each says now and then that it is there, and hears of the others."""

from collections.abc import Iterable
from datetime import timedelta
from hashlib import blake2b
from typing import Final

from domainstream.redis.keys import stream_key
from domainstream.redis.link import RedisLink
from domainstream.redis.scripts import Script, lua_text

MEMBERS: Final = Script.of(lua_text("domainstream.stream.reader", "members"))


class GroupMembers:
    """The members of a group that read the same streams. For one task.

    Raises `ServerUnavailableError`, `ServerRefusedError` or `ServerOutOfMemoryError`.
    """

    def __init__(
        self, link: RedisLink, streams: Iterable[str], *, group: str, instance: str, prefix: str, term: timedelta
    ) -> None:
        """Ask over `link`, which the caller closes; `term` is how long an instance is a member that does not call."""
        # During a deployment some instances read streams that others do not know: neither may leave them to the other.
        self._kind = blake2b("\n".join(sorted(streams)).encode(), digest_size=6).hexdigest()
        self._instance = instance
        self._link = link
        self._key = stream_key(f"{group}:members", prefix)
        self._term_ms = max(1, round(term.total_seconds() * 1000))

    async def beat(self) -> frozenset[str]:
        """Be a member for another term, and return all members, this instance included."""
        return await self._call(self._term_ms)

    async def leave(self) -> None:
        """Be a member no longer."""
        await self._call(0)

    async def _call(self, term_ms: int) -> frozenset[str]:
        own = f"{self._kind} {self._instance}"
        (reply,) = await self._link.run(MEMBERS, [("1", self._key, own, str(term_ms))])
        named = (each.decode().split(" ", 1) for each in reply)
        return frozenset(instance for kind, instance in named if kind == self._kind)
