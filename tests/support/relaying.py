"""A server in memory for relays, which recognizes repeats as the publisher's script does."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from domainstream.errors import ServerError, ServerUnavailableError
from domainstream.producer import OutgoingMessage
from domainstream.publisher import BatchIdentity


class SimulatedServer:
    """Streams, and what the server remembers of producers; implements `BatchPublisher`.

    Raises `AssertionError` when an identity is used again with other messages.
    """

    def __init__(self) -> None:
        self.streams: dict[str, list[str]] = {}
        """The event ids of each channel's entries."""
        self.sent: list[tuple[BatchIdentity, list[str]]] = []
        """The identity and event ids of each call that reached the server."""
        self.away: ServerError | None = None
        """What every call fails with, as long as it is set."""
        self.lost_replies = 0
        """To how many of the next batches the reply is lost."""
        self.on_lost_reply: Callable[[], None] = lambda: None
        """Called when a reply is lost."""
        self.rejecting: dict[str, ServerError] = {}
        """Why channels are rejected."""
        self.on_send: Callable[[], None] = lambda: None
        """Called with each batch."""
        self.open = asyncio.Event()
        """Batches wait until it is set, as it is at first."""
        self.open.set()
        self.waiting = asyncio.Event()
        """Set while a batch waits for `open`."""
        self._last: dict[tuple[str, str], int] = {}
        self._producers: set[str] = set()
        self._content: dict[tuple[str, BatchIdentity], list[str]] = {}
        self._changed = asyncio.Event()

    async def send(self, messages: Sequence[OutgoingMessage], identity: BatchIdentity) -> Mapping[str, ServerError]:
        """Add what was not added before under this identity."""
        self._changed.set()
        self.waiting.set()
        await asyncio.sleep(0)  # as any call over a network lets others run
        await self.open.wait()
        self.waiting.clear()
        if self.away is not None:
            raise self.away
        self.on_send()
        self.sent.append((identity, [message.event_id for message in messages]))
        rejected: dict[str, ServerError] = {}
        for channel in dict.fromkeys(message.channel for message in messages):
            ids = [message.event_id for message in messages if message.channel == channel]
            assert self._content.setdefault((channel, identity), ids) == ids, "an identity was used again"
            if channel in self.rejecting:
                rejected[channel] = self.rejecting[channel]
            elif identity.sequence > self._last.get((channel, identity.producer), 0):
                self._last[channel, identity.producer] = identity.sequence
                self.streams.setdefault(channel, []).extend(ids)
        if self.lost_replies:
            self.lost_replies -= 1
            self.on_lost_reply()
            raise ServerUnavailableError("the connection was lost before the reply")
        return rejected

    async def introduce(self, producer: str) -> None:
        """Remember a producer."""
        self._changed.set()
        if self.away is not None:
            raise self.away
        self._producers.add(producer)

    async def remembers(self, producer: str) -> bool:
        """Return whether it was introduced."""
        if self.away is not None:
            raise self.away
        return producer in self._producers

    def go_away(self) -> None:
        """Let every call fail from now on."""
        self.away = ServerUnavailableError("no connection to the server")

    def forget(self) -> None:
        """Lose everything, as by FLUSHALL."""
        self.streams.clear()
        self._last.clear()
        self._producers.clear()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something holds; it is looked at whenever a relay calls, and now and then."""
        async with asyncio.timeout(30):
            while not condition():
                self._changed.clear()
                try:
                    async with asyncio.timeout(0.01):
                        await self._changed.wait()
                except TimeoutError:
                    continue
