"""What changes while a page is open: one reader for all viewers, and a stream of server-sent events for each of them.

Only what the names of queues and channels lead to is read, in turn, and after each read the reader waits until the
commands that it took are within `COMMANDS` a second. Without a viewer, nothing is read.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from domainstream.errors import ServerError
from domainstream.lifecycle import cancel_and_wait
from domainstream.queue.bullmq.order import PAGE
from domainstream.tools.common.formatting import number
from domainstream.tools.dashboard.facts import ChannelFacts, Facts, QueueFacts, Totals
from domainstream.tools.dashboard.notes import channel_note, queue_note
from domainstream.tools.dashboard.rendering import seconds

COMMANDS: Final = 20
"""How many commands a second are sent, at most on average, however many viewers there are."""

OF_QUEUE: Final = 21
"""How many commands reading a queue takes."""

OF_CHANNEL: Final = 6
"""How many commands reading a channel takes, besides those for its groups."""

OF_GROUP: Final = 2
"""How many commands reading a group takes."""

COUNTS: Final = ("waiting", "active", "delayed", "waiting_children", "completed", "failed")
"""The counts of a queue that are shown."""

PAUSE: Final = 2.0
"""Seconds between two rounds, at least, and until the reader tries again when the server does not answer."""

HEARTBEAT: Final = 15.0
"""Seconds without a change after which a viewer is sent a comment, which finds out whether it is still there."""

VIEWERS: Final = 200
"""How many viewers are served at once."""

Values = dict[str, str]
"""The texts of numbers on pages by their names, as `queue:billing:failed`."""


class _Viewer:
    """What one viewer has not been sent yet: of each number only the last text, so that a slow one costs little."""

    def __init__(self, values: Values) -> None:
        self._unsent = dict(values)
        self._changed = asyncio.Event()
        self.add({})

    def add(self, values: Values) -> None:
        """Add what has changed."""
        self._unsent.update(values)
        self._changed.set()

    async def take(self) -> Values:
        """Wait for changes, and return all of them."""
        await self._changed.wait()
        self._changed.clear()
        taken, self._unsent = self._unsent, {}
        return taken


class Live:
    """Reads the numbers on open pages."""

    def __init__(self, facts: Facts) -> None:
        """Read through `facts`."""
        self._facts = facts
        self._viewers: set[_Viewer] = set()
        self._reader: asyncio.Task[None] | None = None
        self._known: Values = {}

    async def stream(self, request: Request) -> Response:
        """Answer with a stream of the numbers that change."""
        if len(self._viewers) >= VIEWERS:
            return Response("There are too many viewers.", 503, {"retry-after": "30"}, media_type="text/plain")
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(self._events(request), media_type="text/event-stream", headers=headers)

    async def close(self) -> None:
        """End the reader."""
        if self._reader is not None:
            await cancel_and_wait(self._reader)

    async def _events(self, request: Request) -> AsyncIterator[bytes]:
        viewer = _Viewer(self._known)
        self._viewers.add(viewer)
        try:
            yield b"retry: 3000\n\n"
            while not await request.is_disconnected():
                self._ensure_reader()
                try:
                    async with asyncio.timeout(HEARTBEAT):
                        changed = await viewer.take()
                except TimeoutError:
                    yield b": still here\n\n"
                else:
                    yield b"data: " + msgspec.json.encode(changed) + b"\n\n"
        finally:
            self._viewers.discard(viewer)

    def _ensure_reader(self) -> None:
        if self._reader is None or self._reader.done():
            self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        """Read round by round while anybody looks."""
        while self._viewers:
            began = time.monotonic()
            try:
                await self._round()
            except ServerError:
                self._publish({"live": "waiting for the server"})
            await asyncio.sleep(max(0.0, began + PAUSE - time.monotonic()))

    async def _round(self) -> None:
        names = await self._facts.names.last()
        queues, channels = list[QueueFacts](), list[ChannelFacts]()
        for name in names.queues:
            (queue,) = await self._facts.queue_facts(name)
            queues.append(queue)
            self._publish(queue_values(queue))
            await asyncio.sleep((OF_QUEUE + self._looks_for_held(queue)) / COMMANDS)
        for name in names.all_channels:
            (channel,) = await self._facts.channel_facts(name)
            channels.append(channel)
            self._publish(channel_values(channel))
            await asyncio.sleep((OF_CHANNEL + OF_GROUP * len(channel.groups)) / COMMANDS)
        self._publish({"live": "live", **total_values(Totals.of(queues, channels))})

    def _looks_for_held(self, queue: QueueFacts) -> int:
        """Return how many commands it took to find the held keys of a queue."""
        return min(queue.state.failed, self._facts.settings.sample) // PAGE if queue.order else 0

    def _publish(self, values: Values) -> None:
        """Send what has changed to every viewer."""
        changed = {name: text for name, text in values.items() if self._known.get(name) != text}
        self._known.update(changed)
        for viewer in self._viewers if changed else ():
            viewer.add(changed)


def queue_values(queue: QueueFacts) -> Values:
    """Return the texts about a queue."""
    state, name = queue.state, queue.state.queue
    note, tone = queue_note([queue])
    return {
        **{f"queue:{name}:{one}": number(getattr(state, one)) for one in COUNTS},
        f"queue:{name}:oldest": seconds(state.oldest_waiting_ms),
        f"queue:{name}:held": number(queue.held),
        f"note:queue:{name}": note,
        f"tone:queue:{name}": tone,
    }


def channel_values(channel: ChannelFacts) -> Values:
    """Return the texts about a channel and its groups."""
    name, (note, tone) = channel.channel, channel_note([channel])
    values = {
        f"channel:{name}:length": number(channel.stream.length if channel.stream else 0),
        f"channel:{name}:lag": number(channel.lag),
        f"channel:{name}:oldest": seconds(channel.oldest_ms),
        f"channel:{name}:dead": number(channel.dead.letters if channel.dead else 0),
        f"note:channel:{name}": note,
        f"tone:channel:{name}": tone,
    }
    for group in channel.groups:
        begin = f"group:{name}:{group.group}"
        values |= {f"{begin}:unread": number(group.unread), f"{begin}:pending": number(group.pending)}
        values |= {f"{begin}:oldest": seconds(group.oldest_ms), f"{begin}:oldest_ms": str(group.oldest_ms or 0)}
    return values


def total_values(totals: Totals) -> Values:
    """Return the texts about everything."""
    counts = {f"total:{name}": number(getattr(totals, name)) for name in ("failed", "held", "dead", "waiting")}
    return {**counts, "total:oldest": seconds(totals.oldest_ms)}
