"""Entries that cannot become jobs, in a stream beside their own: lists, redrives and purges them.

Its key is the stream's, followed by `:dead`; on a cluster the former is in braces, so that both lie in one slot.
`reader/store_dead.lua` stores them. Implements `DeadLetterRedrive`.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, Final, Self

from msgspec import Struct
from redis.asyncio import Redis
from redis.asyncio.client import Pipeline

from domainstream.channel.partitions import in_channel_order
from domainstream.redis.asking import Ask, ask_each
from domainstream.redis.keys import dead_letter_key, stream_key
from domainstream.redis.nodes import RedisNodes
from domainstream.redis.scripts import Script
from domainstream.stream.port import DATA, DeadLetter, Delivery, RedriveResult, StoredDeadLetter, kept_fields
from domainstream.stream.state import next_id, previous_id
from domainstream.validation import plain_name

OTHER: Final = b"field:"
"""What the name of another field of the entry begins with in its dead letter."""

PAGE: Final = 500

# All or nothing per dead letter: XADD comes first, so that one which the server rejects stays a dead letter.
_REDRIVE: Final = Script.of("""
local added, without_data, from, most = {}, {}, ARGV[1], tonumber(ARGV[3])
while #added < most do
  local letters = redis.call('XRANGE', KEYS[2], from, ARGV[2], 'COUNT', most - #added)
  if #letters == 0 then break end
  for _, letter in ipairs(letters) do
    local id, fields, data, other, is_whole = letter[1], letter[2], nil, {}, true
    for i = 1, #fields, 2 do
      if string.sub(fields[i], 1, 6) == 'field:' then
        other[#other + 1] = string.sub(fields[i], 7)
        other[#other + 1] = fields[i + 1]
      elseif fields[i] == 'data' then
        data = fields[i + 1]
      elseif fields[i] == 'left_out' then
        is_whole = false
      end
    end
    if data then
      added[#added + 1] = redis.call('XADD', KEYS[1], '*', 'data', data, unpack(is_whole and other or {}))
      redis.call('XDEL', KEYS[2], id)
    else
      without_data[#without_data + 1] = id
    end
    from = '(' .. id
  end
end
return {added, without_data}
""")


def dead_letter_fields(dead_letter: DeadLetter, group: str) -> list[str | bytes]:
    """Return the names and values of the fields in which a dead letter is stored.

    They are `error` (a class of `domainstream.errors`), `reason`, `channel`, `group`, `entry_id` (of the original
    entry) and, when the original entry had it, `data`, unchanged. Its other fields have `field:` before their names;
    `left_out` is how many bytes of them were too many.
    """
    delivery = dead_letter.delivery
    fields: list[str | bytes] = ["error", dead_letter.error, "reason", dead_letter.reason, "channel", delivery.channel]
    fields += ["group", group, "entry_id", delivery.entry_id]
    if delivery.data is not None:
        fields += ["data", delivery.data]
    kept, left_out = kept_fields(delivery.other)
    for name, value in kept:
        fields += [OTHER + name, value]
    return [*fields, "left_out", str(left_out)] if left_out else fields


class RedisDeadLetterRedrive:
    """The `DeadLetterRedrive` of what `RedisStreamReader` stores."""

    def __init__(self, client: Redis | RedisNodes, *, prefix: str = "") -> None:
        """Work through `client`, which the caller closes."""
        self._nodes = RedisNodes.of(client)
        self._prefix = prefix
        self._owned = AsyncExitStack()

    @classmethod
    def from_url(cls, url: str, *, prefix: str = "") -> Self:
        """Return a redrive that owns its connection. Raises `ConfigurationError` for an invalid URL."""
        nodes = RedisNodes.open(url)
        redrive = cls(nodes, prefix=prefix)
        redrive._owned.push_async_callback(nodes.close)
        return redrive

    async def page(self, channel: str, *, after: str = "", count: int = 100) -> list[StoredDeadLetter]:
        """Read a page of the dead-letter stream; see `DeadLetterRedrive.page`."""
        key = _key(channel, self._prefix, self._nodes)
        first = f"({after}" if after else "-"
        found: Any = await self._nodes.run(key, lambda redis: redis.xrange(key, first, "+", count=count))
        return [_stored(dead_letter_id.decode(), channel, fields) for dead_letter_id, fields in found]

    async def redrive(self, channel: str, *, dead_letter_id: str | None = None, count: int = 100) -> RedriveResult:
        """Move dead letters back in one script call; see `DeadLetterRedrive.redrive`."""
        keys = [stream_key(channel, self._prefix), _key(channel, self._prefix, self._nodes)]
        first, last = dead_letter_id or "-", dead_letter_id or "+"
        added, without_data = await self._nodes.call(_REDRIVE, keys, first, last, count)
        return RedriveResult(tuple(map(bytes.decode, added)), tuple(map(bytes.decode, without_data)))

    async def close(self) -> None:
        """Close the connections that it owns; see `DeadLetterRedrive.close`."""
        await self._owned.aclose()


def _ask_length(key: str) -> Ask:
    return lambda pipe: pipe.xlen(key)


def _key(channel: str, prefix: str, nodes: RedisNodes) -> str:
    return dead_letter_key(stream_key(channel, prefix), is_cluster=nodes.is_cluster)


def _stored(dead_letter_id: str, channel: str, fields: Mapping[bytes, bytes]) -> StoredDeadLetter:
    entry_id, error, reason, group = (
        fields.get(name, b"").decode(errors="replace") for name in (b"entry_id", b"error", b"reason", b"group")
    )
    other = tuple((name.removeprefix(OTHER), value) for name, value in fields.items() if name.startswith(OTHER))
    delivery = Delivery(plain_name(channel), entry_id, fields.get(DATA), other=other)
    left_out = int(fields.get(b"left_out", b"0"))
    return StoredDeadLetter(dead_letter_id, group, DeadLetter(delivery, error, reason), left_out)


class DeadLetterState(Struct, frozen=True, kw_only=True):
    """How many dead letters a channel has."""

    channel: str
    """The channel's value."""

    letters: int
    """How many."""

    first_id: str
    """The id of the oldest letter."""

    last_id: str
    """The id of the newest letter."""


class RedisDeadLetterInspection:
    """The dead letters of all channels below a prefix.

    For one task. Raises the same errors as `StreamReader`.
    """

    def __init__(self, client: Redis | RedisNodes, *, prefix: str = "") -> None:
        """Work through `client`, which the caller closes."""
        self._nodes = RedisNodes.of(client)
        self._prefix = plain_name(prefix)
        self._redrive = RedisDeadLetterRedrive(self._nodes, prefix=prefix)

    async def channels(self) -> list[str]:
        """Return the channels that have dead letters, or had some, in order; partitions as `domain_x:p3`."""
        start, end = _key("|", self._prefix, self._nodes).split("|")
        keys = await self._nodes.keys_like(start, "stream", suffix=end)
        return in_channel_order(key.removeprefix(start).removesuffix(end) for key in keys)

    async def state(self, channel: str) -> DeadLetterState | None:
        """Return how many dead letters a channel has; None without any."""
        return (await self.states([channel])).get(channel)

    async def states(self, channels: Sequence[str]) -> dict[str, DeadLetterState]:
        """Return how many dead letters these channels have, but for those without any, in few round trips."""
        keys = {channel: _key(channel, self._prefix, self._nodes) for channel in channels}
        asks = {key: [partial(_ask_info, key=key)] for key in keys.values()}
        replies = await ask_each(self._nodes, asks, missing=["no such key"])
        found = {channel: replies[key][0] for channel, key in keys.items()}
        return {channel: _state(channel, info) for channel, info in found.items() if info and info["length"]}

    async def counts(self, channels: Sequence[str]) -> dict[str, int]:
        """Return how many dead letters each of these channels has, in few round trips."""
        keys = {channel: _key(channel, self._prefix, self._nodes) for channel in channels}
        replies = await ask_each(self._nodes, {key: [_ask_length(key)] for key in keys.values()}, missing=["WRONGTYPE"])
        return {channel: replies[key][0] or 0 for channel, key in keys.items()}

    async def dead_letters(self, channel: str) -> AsyncIterator[StoredDeadLetter]:
        """Yield a channel's dead letters, the oldest first, read page by page."""
        after = ""
        while page := await self._redrive.page(channel, after=after, count=PAGE):
            for stored in page:
                yield stored
            after = page[-1].dead_letter_id

    async def dead_letter(self, channel: str, dead_letter_id: str) -> StoredDeadLetter | None:
        """Return one dead letter, or None."""
        found = await self._redrive.page(channel, after=previous_id(dead_letter_id), count=1)
        return found[0] if found and found[0].dead_letter_id == dead_letter_id else None

    async def purge(self, channel: str, dead_letter_ids: Sequence[str]) -> int:
        """Delete dead letters and return how many there were."""
        key = _key(channel, self._prefix, self._nodes)
        return int(await self._nodes.run(key, lambda redis: redis.xdel(key, *dead_letter_ids)))

    async def purge_until(self, channel: str, last_id: str) -> int:
        """Delete all dead letters up to one, including it, and return how many there were."""
        key, kept = _key(channel, self._prefix, self._nodes), next_id(last_id)
        found: Any = await self._nodes.run(key, lambda redis: redis.xtrim(key, minid=kept, approximate=False))
        return int(found)


def _ask_info(pipe: Pipeline, key: str) -> Any:
    return pipe.xinfo_stream(key)


def _state(channel: str, info: Mapping[str, Any]) -> DeadLetterState:
    first, last = (info[f"{end}-entry"][0].decode() for end in ("first", "last"))
    return DeadLetterState(channel=plain_name(channel), letters=info["length"], first_id=first, last_id=last)
