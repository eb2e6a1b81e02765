"""Keeps undecodable entries in a stream beside their own, `{stream key}:dead`. Implements `port.DeadLetters`."""

from collections.abc import Sequence
from typing import Any, Final, Self

from redis.asyncio import Redis

from domainstream.redis.connection import connect
from domainstream.redis.errors import translated_errors
from domainstream.redis.keys import stream_key
from domainstream.stream.dead_letters.fields import SUFFIX, dead_letter_fields
from domainstream.stream.port import DeadLetter

# MULTI would not do: it goes on to XACK when XADD has failed, and the entry would be lost.
# An entry that is no longer pending was buried by an earlier call whose reply was lost.
_BURY: Final = """
if #redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[2], ARGV[2], 1) == 0 then return 0 end
redis.call('XADD', KEYS[2], '*', unpack(ARGV, 3))
return redis.call('XACK', KEYS[1], ARGV[1], ARGV[2])
"""


class RedisDeadLetters:
    """`DeadLetters` on Redis or Valkey; `dead_letter_fields` says how they are written down."""

    def __init__(self, client: Redis, *, group: str, prefix: str = "") -> None:
        """Write through `client`, which is then owned."""
        self.group = group
        """The consumer group in whose name entries are acknowledged."""
        self._client = client
        self._prefix = prefix
        self._bury: Any = client.register_script(_BURY)

    @classmethod
    def from_url(cls, url: str, *, group: str, prefix: str = "") -> Self:
        """Return dead letters with connections of their own."""
        return cls(connect(url), group=group, prefix=prefix)

    async def store(self, letters: Sequence[DeadLetter]) -> None:
        """Store and acknowledge, one script call per letter; see `port.DeadLetters.store`."""
        for letter in letters:
            key = stream_key(letter.delivery.channel, self._prefix)
            arguments = [self.group, letter.delivery.entry_id, *dead_letter_fields(letter, self.group)]
            with translated_errors(self._client):
                await self._bury(keys=[key, key + SUFFIX], args=arguments)

    async def close(self) -> None:
        """Close the connections; see `port.DeadLetters.close`."""
        await self._client.aclose()
