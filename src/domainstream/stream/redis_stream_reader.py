"""Reads all channels of a consumer group from Redis with one blocking command. Implements `port.StreamReader`.

Next: `domainstream.subscriber`, which hands what is read over to queues.
"""

import logging
import socket
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any, Final, Self

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from domainstream.channel import stream_key
from domainstream.config import refuse
from domainstream.errors import ServerRefusedError
from domainstream.stream.port import Delivery
from domainstream.stream.redis_connection import connect, our_errors

log = logging.getLogger("domainstream.stream")

BLOCK: Final = timedelta(seconds=1)
"""How long a read waits for news on the server; also the longest that stopping has to wait."""

REPLY_MARGIN: Final = timedelta(seconds=5)
"""How much longer than that a reply may take before the connection is given up."""

DATA: Final = b"data"
_OWN_PENDING: Final = "0"
_NEW: Final = ">"


def default_consumer() -> str:
    """Return the consumer name of an instance that was given none: this host's name and `-subscriber`."""
    return f"{socket.gethostname()}-subscriber"


class RedisStreamReader:
    """A `StreamReader` on Redis or Valkey.

    It reads its own pending entries first after each start and after each read that failed, since the reply that was
    lost may have held entries that now wait in its name.

    Attributes:
        group: The consumer group, the same on every stream.

        consumer: The name in the group that entries are delivered to. It must be stable, so that a restarted instance
            finds what it left behind, and each instance needs its own: by default it is the host's name and
            `-subscriber`, so give names when several instances share a host. Two instances of one name still lose
            nothing, but do some entries twice.
    """

    def __init__(
        self,
        client: Redis,
        channels: Iterable[str],
        *,
        group: str,
        consumer: str | None = None,
        prefix: str = "",
        count: int = 256,
    ) -> None:
        """Read `channels`, at most `count` entries of each at a time, through `client`, which the reader then owns.

        Raises `ConfigurationError` for an empty `group`.
        """
        refuse("The consumer group", [None if group.strip() else "its name is empty; type: group='domain-events'"])
        self.group = group
        self.consumer = consumer or default_consumer()
        self._client = client
        self._channels = {stream_key(channel, prefix).encode(): str(channel) for channel in channels}
        self._keys = {str(channel): key for key, channel in self._channels.items()}
        self._count = count
        self._groups_exist = False
        self._look_back = True
        self._open: set[tuple[str, str]] = set()

    @classmethod
    def from_url(
        cls, url: str, channels: Iterable[str], *, group: str, consumer: str | None = None, prefix: str = ""
    ) -> Self:
        """Return a reader with a connection of its own; the constructor says what the rest means."""
        client = connect(url, reply_timeout=BLOCK + REPLY_MARGIN)
        return cls(client, channels, group=group, consumer=consumer, prefix=prefix)

    async def read(self) -> Sequence[Delivery]:
        """Return own pending entries while there are any, else new ones; see `port.StreamReader.read`."""
        with our_errors(self._client):
            await self._make_groups()
            try:
                return await self._read()
            except ResponseError as error:
                if not str(error).startswith(("NOGROUP", "UNBLOCKED")):
                    raise
                return self._group_is_gone()

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """Acknowledge with one command per channel, all in one round trip; see `port.StreamReader.acknowledge`."""
        ids: dict[bytes, list[str]] = {}
        for delivery in deliveries:
            ids.setdefault(self._keys[delivery.channel], []).append(delivery.entry_id)
        with our_errors(self._client):
            async with self._client.pipeline(transaction=False) as pipe:
                for key, entry_ids in ids.items():
                    pipe.xack(key, self.group, *entry_ids)
                await pipe.execute()
        self._open.difference_update((delivery.channel, delivery.entry_id) for delivery in deliveries)

    async def close(self) -> None:
        """Close the connection; see `port.StreamReader.close`."""
        await self._client.aclose()

    async def _read(self) -> list[Delivery]:
        if self._look_back or self._open:
            self._look_back = True
            if pending := await self._entries(_OWN_PENDING):
                return pending
            self._open.clear()
        # Until the reply is here, entries may be on their way that only looking back would find.
        self._look_back = True
        news = await self._entries(_NEW)
        self._look_back = False
        return news

    async def _entries(self, after: str) -> list[Delivery]:
        block = int(BLOCK.total_seconds() * 1000) if after == _NEW else None
        streams: dict[Any, Any] = dict.fromkeys(self._channels, after)
        reply: Any = await self._client.xreadgroup(self.group, self.consumer, streams, count=self._count, block=block)
        deliveries = [
            Delivery(self._channels[key], entry_id.decode(), fields.get(DATA))
            for key, entries in reply
            for entry_id, fields in entries
        ]
        self._open.update((delivery.channel, delivery.entry_id) for delivery in deliveries)
        return deliveries

    def _group_is_gone(self) -> list[Delivery]:
        log.warning("group %s: a stream or the group on it has vanished; making it again", self.group)
        self._groups_exist = False
        return []

    async def _make_groups(self) -> None:
        if self._groups_exist:
            return
        async with self._client.pipeline(transaction=False) as pipe:
            for key in self._channels:
                pipe.xgroup_create(key, self.group, id="0", mkstream=True)
            replies = await pipe.execute(raise_on_error=False)
        for channel, reply in zip(self._channels.values(), replies, strict=True):
            _check_group(channel, reply)
        self._groups_exist = True


def _check_group(channel: str, reply: Any) -> None:
    if isinstance(reply, ResponseError) and str(reply).startswith("WRONGTYPE"):
        raise ServerRefusedError(
            f"the key of channel {channel} is no stream; choose another prefix, or delete that key"
        )
    if isinstance(reply, Exception) and not str(reply).startswith("BUSYGROUP"):
        raise reply
