"""Stores undecodable entries in a stream beside their own, `{stream key}:dead`. Implements `DeadLetters`."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any, Final, Self

from redis.asyncio import Redis

from domainstream.redis.connection import connect
from domainstream.redis.errors import translated_errors
from domainstream.redis.keys import stream_key
from domainstream.stream.port import DeadLetter

SUFFIX: Final = ":dead"
"""What the key of a channel's dead letters ends with, after the key of its stream."""

# MULTI would not do: it goes on to XACK when XADD has failed, and the entry would be lost.
# An entry that is no longer pending was stored by an earlier call whose reply was lost.
_STORE: Final = """
if #redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[2], ARGV[2], 1) == 0 then return 0 end
redis.call('XADD', KEYS[2], '*', unpack(ARGV, 3))
return redis.call('XACK', KEYS[1], ARGV[1], ARGV[2])
"""


def dead_letter_fields(dead_letter: DeadLetter, group: str) -> list[str | bytes]:
    """Return the names and values of the fields in which a dead letter is stored.

    They are `error` (a class of `domainstream.errors`), `reason`, `channel`, `group`, `entry_id` (of the original
    entry) and, when the original entry had it, `data`, unchanged.
    """
    delivery = dead_letter.delivery
    fields: list[str | bytes] = ["error", dead_letter.error, "reason", dead_letter.reason, "channel", delivery.channel]
    fields += ["group", group, "entry_id", delivery.entry_id]
    return fields if delivery.data is None else [*fields, "data", delivery.data]


class RedisDeadLetters:
    """`DeadLetters` on Redis or Valkey; `dead_letter_fields` says how they are stored."""

    def __init__(self, client: Redis, *, group: str, prefix: str = "") -> None:
        """Write through `client`, which the caller closes."""
        self.group = group
        """The consumer group in whose name entries are acknowledged."""
        self._client = client
        self._prefix = prefix
        self._store: Any = client.register_script(_STORE)
        self._owned = AsyncExitStack()

    @classmethod
    def from_url(cls, url: str, *, group: str, prefix: str = "") -> Self:
        """Return dead letters that own their connection. Raises `ConfigurationError` for an invalid URL."""
        client = connect(url)
        dead_letters = cls(client, group=group, prefix=prefix)
        dead_letters._owned.push_async_callback(client.aclose)
        return dead_letters

    async def store(self, dead_letters: Sequence[DeadLetter]) -> None:
        """Store and acknowledge, one script call per dead letter; see `DeadLetters.store`."""
        for dead_letter in dead_letters:
            key = stream_key(dead_letter.delivery.channel, self._prefix)
            fields = dead_letter_fields(dead_letter, self.group)
            with translated_errors(self._client):
                await self._store(keys=[key, key + SUFFIX], args=[self.group, dead_letter.delivery.entry_id, *fields])

    async def close(self) -> None:
        """Close the connections that it owns; see `DeadLetters.close`."""
        await self._owned.aclose()
