"""Searches the indexes of streams for what belongs to an aggregate, a transaction or an event."""

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline

from domainstream.publisher.index_records import INDEX, hash_of, index_keys
from domainstream.publisher.retention import RETENTION
from domainstream.redis.asking import ask_each
from domainstream.redis.keys import stream_key
from domainstream.redis.nodes import RedisNodes
from domainstream.redis.scripts import Script, lua_text

SCRIPT: Final = Script.of(lua_text("domainstream.stream.inspection", "search_index", retention=RETENTION, index=INDEX))

NOT_LOADED: Final = "No matching script"


class RedisIndexSearch:
    """Searches the indexes of the streams below a prefix. For one task. Raises the same errors as `StreamReader`."""

    def __init__(self, client: Redis | RedisNodes, *, prefix: str = "") -> None:
        """Search through `client`, which the caller closes."""
        self._nodes = RedisNodes.of(client)
        self._prefix = prefix

    async def find(self, channels: Sequence[str], wanted: str) -> dict[str, list[str]]:
        """Return the ids of the entries of each channel that may have `wanted` as subject, correlation id or id.

        They are in order; some entries may be gone, or about something else, since hashes collide. A channel is missing
        if its index lacks some of its entries: these have to be searched one by one.
        """
        searches = {channel: _Search(stream_key(channel, self._prefix), hash_of(wanted)) for channel in channels}
        unfinished = list(searches.values())
        while unfinished:
            replies = await self._call(unfinished)
            for search in unfinished:
                search.note(replies[search.keys[0]])
            unfinished = [search for search in unfinished if search.resume]
        return {channel: search.found for channel, search in searches.items() if search.is_complete}

    async def _call(self, searches: Sequence["_Search"]) -> dict[str, Any]:
        """Return the reply of the script for each search, by the key of the stream."""
        by_key = {search.keys[0]: search for search in searches}
        replies: dict[str, Any] = {}
        while len(replies) < len(by_key):
            asks = {key: [partial(_ask, search=search)] for key, search in by_key.items() if key not in replies}
            answered = await ask_each(self._nodes, asks, missing=[NOT_LOADED])
            replies |= {key: reply for key, (reply,) in answered.items() if reply is not None}
            # A node that does not know the script yet learns it from one call.
            if unknown := next((by_key[key] for key, (reply,) in answered.items() if reply is None), None):
                replies[unknown.keys[0]] = await self._nodes.call(SCRIPT, unknown.keys, unknown.hash, unknown.resume)
        return replies


class _Search:
    """The search of one index, in one call of the script or several."""

    def __init__(self, stream: str, hash_: bytes) -> None:
        self.keys = (stream, *index_keys(stream))
        self.hash = hash_
        self.resume = b""
        self.found: list[str] = []
        self._counted = 0
        self._length = 0
        self._has_gaps = False

    @property
    def is_complete(self) -> bool:
        """Whether there was a record for each entry of the stream."""
        return self._counted >= self._length and not self._has_gaps

    def note(self, reply: Sequence[Any]) -> None:
        """Note what a call has returned."""
        self.resume, has_gaps, self._length, counted, found = reply
        self._has_gaps = self._has_gaps or bool(has_gaps)
        self._counted += counted
        self.found += map(bytes.decode, found)


def _ask(pipe: Pipeline, *, search: _Search) -> Any:
    return pipe.evalsha(SCRIPT.sha, len(search.keys), *search.keys, search.hash, search.resume)
