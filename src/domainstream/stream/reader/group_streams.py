"""The streams that a reader reads: its group on each of them, their entries, and how many to ask of each."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from domainstream.errors import ServerRefusedError
from domainstream.redis.keys import stream_key
from domainstream.stream.port import DATA, Delivery, ReaderSettings
from domainstream.validation import plain_name

FIRST_COUNT: Final = 16
"""The count before anything is known: 16 entries of 256 KiB, the largest allowed, fill 4 MiB."""

Entries = Iterable[tuple[bytes, dict[bytes, bytes] | None]]


class RedisGroupStreams:
    """Knows which key is which channel, and turns entries into deliveries."""

    def __init__(self, client: Redis, channels: Iterable[str], *, group: str, prefix: str) -> None:
        """Use `client`, which the caller closes."""
        self.group = plain_name(group)
        """The consumer group, the same on every stream."""
        self.channels = {stream_key(channel, prefix).encode(): plain_name(channel) for channel in channels}
        """The channel of each key."""
        self.keys = {channel: key for key, channel in self.channels.items()}
        """The key of each channel."""
        self._client = client

    async def make_groups(self) -> list[str]:
        """Create the group on every stream that has none, and return these channels.

        It begins at the stream's beginning, so that what was published before the first subscriber came is not skipped.
        """
        async with self._client.pipeline(transaction=False) as pipe:
            for key in self.channels:
                pipe.xgroup_create(key, self.group, id="0", mkstream=True)
            replies = await pipe.execute(raise_on_error=False)
        created = []
        for channel, reply in zip(self.channels.values(), replies, strict=True):
            if isinstance(reply, ResponseError) and str(reply).startswith("WRONGTYPE"):
                raise ServerRefusedError(
                    f"the key of channel {channel} is not a stream; choose another prefix, or delete that key"
                )
            if not isinstance(reply, Exception):
                created.append(channel)
            elif not str(reply).startswith("BUSYGROUP"):
                raise reply
        return created

    def deliveries(self, key: bytes, entries: Entries, times: Mapping[bytes, int]) -> Iterator[Delivery]:
        """Yield entries of a stream as deliveries; `times` is how often each has been delivered, now included."""
        channel = self.channels[key]
        for entry_id, fields in entries:
            yield Delivery.of_fields(channel, entry_id.decode(), fields, times.get(entry_id, 1))

    def new_entries(self, key: bytes, entries: Iterable[tuple[bytes, list[bytes]]]) -> Iterator[Delivery]:
        """Yield entries of a stream that are delivered for the first time, as the server sends them."""
        channel = self.channels[key]
        for entry_id, fields in entries:
            # The fast path: all our entries have this one field.
            if len(fields) == 2 and fields[0] == DATA:
                yield Delivery(channel, entry_id.decode(), fields[1])
            else:
                named = dict(zip(fields[::2], fields[1::2], strict=True))
                yield Delivery.of_fields(channel, entry_id.decode(), named)


def group_is_gone(error: ResponseError) -> bool:
    """Return whether an error means that a stream, or the group on it, has vanished."""
    return str(error).startswith("NOGROUP")


class AdaptiveBatchSize:
    """Learns from each reply how many entries per channel the next one may hold, so that it stays within its limits.

    XREADGROUP has a COUNT for each stream, but none for the reply, and no limit of bytes.

    A reply that was larger than its limits shrinks the next one in proportion; one that could have been larger lets it
    grow, at most twofold.
    """

    def __init__(self, settings: ReaderSettings, channels: int) -> None:
        """Begin with a small count: all of `channels` may have entries waiting."""
        self._settings = settings
        self.count = max(1, min(FIRST_COUNT, settings.max_entries // max(1, channels)))
        """How many entries of each channel to ask for."""

    def learn(self, reply: Sequence[Delivery], fullest: int) -> None:
        """Learn from a reply whose fullest channel returned `fullest` entries."""
        if not reply:
            return
        size = sum(len(delivery.data or b"") for delivery in reply)
        size += sum(len(value) for delivery in reply if delivery.other for _, value in delivery.other)
        room = min(self._settings.max_entries / len(reply), self._settings.max_bytes / max(1, size))
        if room < 1:
            self.count = max(1, int(self.count * room))
        elif fullest >= self.count:
            self.count = min(self._settings.max_entries, int(self.count * min(2, room)))
