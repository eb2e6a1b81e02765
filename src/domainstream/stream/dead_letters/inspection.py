"""Lists dead letters, and purges them."""

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from msgspec import Struct
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from domainstream.redis.errors import translated_errors
from domainstream.redis.keys import keys_like, stream_key
from domainstream.stream.dead_letters.redrive import RedisDeadLetterRedrive
from domainstream.stream.dead_letters.store import SUFFIX
from domainstream.stream.port import StoredDeadLetter
from domainstream.stream.state import next_id, previous_id

PAGE: Final = 500


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

    def __init__(self, client: Redis, *, prefix: str = "") -> None:
        """Work through `client`, which the caller closes."""
        self._client = client
        self._prefix = prefix
        self._redrive = RedisDeadLetterRedrive(client, prefix=prefix)

    async def channels(self) -> list[str]:
        """Return the channels that have dead letters, or had some, in order."""
        keys = await keys_like(self._client, self._prefix, "stream", suffix=SUFFIX)
        names = [key.removeprefix(self._prefix).removesuffix(SUFFIX) for key in keys]
        return [name for name in names if ":" not in name]

    async def state(self, channel: str) -> DeadLetterState | None:
        """Return how many dead letters a channel has; None without any."""
        with translated_errors(self._client):
            try:
                found: Any = await self._client.xinfo_stream(self._key(channel))
            except ResponseError as error:
                if "no such key" in str(error):
                    return None
                raise
        if not found["length"]:
            return None
        first, last = (found[f"{end}-entry"][0].decode() for end in ("first", "last"))
        return DeadLetterState(channel=channel, letters=found["length"], first_id=first, last_id=last)

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
        with translated_errors(self._client):
            return int(await self._client.xdel(self._key(channel), *dead_letter_ids))

    async def purge_until(self, channel: str, last_id: str) -> int:
        """Delete all dead letters up to one, including it, and return how many there were."""
        with translated_errors(self._client):
            found: Any = await self._client.xtrim(self._key(channel), minid=next_id(last_id), approximate=False)
        return int(found)

    def _key(self, channel: str) -> str:
        return stream_key(channel, self._prefix) + SUFFIX
