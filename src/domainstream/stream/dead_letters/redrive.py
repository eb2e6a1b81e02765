"""Reads dead letters and appends them to their stream again. Implements `DeadLetterRedrive`."""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any, Final, Self

from redis.asyncio import Redis

from domainstream.redis.connection import connect
from domainstream.redis.errors import translated_errors
from domainstream.redis.keys import stream_key
from domainstream.stream.dead_letters.store import SUFFIX
from domainstream.stream.port import DeadLetter, Delivery, RedriveResult, StoredDeadLetter

# All or nothing per dead letter: XADD comes first, so that one which the server rejects stays a dead letter.
_REDRIVE: Final = """
local added, without_data, from, most = {}, {}, ARGV[1], tonumber(ARGV[3])
while #added < most do
  local letters = redis.call('XRANGE', KEYS[2], from, ARGV[2], 'COUNT', most - #added)
  if #letters == 0 then break end
  for _, letter in ipairs(letters) do
    local id, fields, data = letter[1], letter[2], nil
    for i = 1, #fields, 2 do
      if fields[i] == 'data' then data = fields[i + 1] end
    end
    if data then
      added[#added + 1] = redis.call('XADD', KEYS[1], '*', 'data', data)
      redis.call('XDEL', KEYS[2], id)
    else
      without_data[#without_data + 1] = id
    end
    from = '(' .. id
  end
end
return {added, without_data}
"""


class RedisDeadLetterRedrive:
    """The `DeadLetterRedrive` of what `RedisDeadLetters` stores."""

    def __init__(self, client: Redis, *, prefix: str = "") -> None:
        """Work through `client`, which the caller closes."""
        self._client = client
        self._prefix = prefix
        self._redrive: Any = client.register_script(_REDRIVE)
        self._owned = AsyncExitStack()

    @classmethod
    def from_url(cls, url: str, *, prefix: str = "") -> Self:
        """Return a redrive that owns its connection. Raises `ConfigurationError` for an invalid URL."""
        client = connect(url)
        redrive = cls(client, prefix=prefix)
        redrive._owned.push_async_callback(client.aclose)
        return redrive

    async def page(self, channel: str, *, after: str = "", count: int = 100) -> list[StoredDeadLetter]:
        """Read a page of the dead-letter stream; see `DeadLetterRedrive.page`."""
        key = stream_key(channel, self._prefix) + SUFFIX
        with translated_errors(self._client):
            found: Any = await self._client.xrange(key, f"({after}" if after else "-", "+", count=count)
        return [_stored(dead_letter_id.decode(), channel, fields) for dead_letter_id, fields in found]

    async def redrive(self, channel: str, *, dead_letter_id: str | None = None, count: int = 100) -> RedriveResult:
        """Move dead letters back in one script call; see `DeadLetterRedrive.redrive`."""
        key = stream_key(channel, self._prefix)
        which = [dead_letter_id or "-", dead_letter_id or "+", count]
        with translated_errors(self._client):
            added, without_data = await self._redrive(keys=[key, key + SUFFIX], args=which)
        return RedriveResult(tuple(map(bytes.decode, added)), tuple(map(bytes.decode, without_data)))

    async def close(self) -> None:
        """Close the connections that it owns; see `DeadLetterRedrive.close`."""
        await self._owned.aclose()


def _stored(dead_letter_id: str, channel: str, fields: Mapping[bytes, bytes]) -> StoredDeadLetter:
    entry_id, error, reason, group = (
        fields.get(name, b"").decode(errors="replace") for name in (b"entry_id", b"error", b"reason", b"group")
    )
    delivery = Delivery(str(channel), entry_id, fields.get(b"data"))
    return StoredDeadLetter(dead_letter_id, group, DeadLetter(delivery, error, reason))
