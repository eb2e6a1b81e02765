"""Reads dead letters and puts them back into their stream. Implements `port.DeadLetterRedrive`."""

from collections.abc import Mapping
from typing import Any, Final, Self

from redis.asyncio import Redis

from domainstream.redis.connection import connect, our_errors
from domainstream.redis.keys import stream_key
from domainstream.stream.dead_letters.fields import SUFFIX
from domainstream.stream.port import BuriedLetter, DeadLetter, Delivery, Redriven

# All or nothing per letter: XADD comes first, so a refused one leaves its letter.
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
    """The `DeadLetterRedrive` of what `RedisDeadLetters` buries."""

    def __init__(self, client: Redis, *, prefix: str = "") -> None:
        """Work through `client`, which is then owned."""
        self._client = client
        self._prefix = prefix
        self._redrive: Any = client.register_script(_REDRIVE)

    @classmethod
    def from_url(cls, url: str, *, prefix: str = "") -> Self:
        """Return a redrive with a connection of its own."""
        return cls(connect(url), prefix=prefix)

    async def letters(self, channel: str, *, after: str = "", count: int = 100) -> list[BuriedLetter]:
        """Read a page of the dead-letter stream; see `port.DeadLetterRedrive.letters`."""
        key = stream_key(channel, self._prefix) + SUFFIX
        with our_errors(self._client):
            found: Any = await self._client.xrange(key, f"({after}" if after else "-", "+", count=count)
        return [_letter(letter_id.decode(), channel, fields) for letter_id, fields in found]

    async def redrive(self, channel: str, *, letter_id: str | None = None, count: int = 100) -> Redriven:
        """Move letters back in one script call; see `port.DeadLetterRedrive.redrive`."""
        key = stream_key(channel, self._prefix)
        which = [letter_id or "-", letter_id or "+", count]
        with our_errors(self._client):
            added, without_data = await self._redrive(keys=[key, key + SUFFIX], args=which)
        return Redriven(tuple(map(bytes.decode, added)), tuple(map(bytes.decode, without_data)))

    async def close(self) -> None:
        """Close the connection; see `port.DeadLetterRedrive.close`."""
        await self._client.aclose()


def _letter(letter_id: str, channel: str, fields: Mapping[bytes, bytes]) -> BuriedLetter:
    entry_id, error, reason, group = (
        fields.get(name, b"").decode(errors="replace") for name in (b"entry_id", b"error", b"reason", b"group")
    )
    delivery = Delivery(str(channel), entry_id, fields.get(b"data"))
    return BuriedLetter(letter_id, group, DeadLetter(delivery, error, reason))
