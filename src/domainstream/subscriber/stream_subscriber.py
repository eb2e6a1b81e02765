"""The program from streams to queues: a task for each channel, and what wakes them. It knows ports only."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Final, Self

from domainstream.errors import ServerError
from domainstream.health import Health
from domainstream.lifecycle import Lifecycle, cancel_and_wait
from domainstream.retrying import Backoff
from domainstream.stream import GroupMembers, MaintenanceTask, WakeUps
from domainstream.subscriber.channel_hand_over import ChannelHandOver
from domainstream.subscriber.parts import HandOverParts
from domainstream.subscriber.progress import SubscriberStats
from domainstream.subscriber.stream_shares import Share, StreamShares
from domainstream.telemetry import Signal, emit

Check = Callable[[], Awaitable[None]]

LOOK: Final = 60.0
"""Seconds that a wait for wake-ups takes at most."""

RELEASE_LOOK: Final = 0.02
"""Seconds after which to look again whether another instance has given up a stream, if there are few streams."""

FEW: Final = 50
"""Streams whose leases may all be asked for that often."""


class StreamSubscriber:
    """Forwards the events of streams to queues, each at least once, and in order; an async context manager.

    Any number of instances share the streams of a group evenly: each stream is one instance's at a time. What cannot be
    forwarded is retried until it can, and holds up its own stream alone.

    For one event loop. `run` may be called once.
    """

    def __init__(
        self,
        parts: HandOverParts,
        wake_ups: WakeUps,
        *,
        members: GroupMembers | None = None,
        maintenance: Sequence[MaintenanceTask] = (),
        check: Check | None = None,
    ) -> None:
        """Join the ports, which the caller closes.

        Without `members`, it takes every stream whose lease is free. `check` is awaited before anything else; it may
        raise `ConfigurationError` to end the run.
        """
        self._progress = parts.progress
        self._wake_ups = wake_ups
        self._maintenance = maintenance
        self._check = check
        self._lifecycle = Lifecycle(type(self).__name__)
        self._backoff = Backoff()
        lease, streams = parts.reading.lease, parts.router.streams
        look = RELEASE_LOOK * max(1.0, len(streams) / FEW)
        self._hand_overs = {
            stream: ChannelHandOver(stream, parts, self._lifecycle, Share(release_look=look)) for stream in streams
        }
        self._shares: StreamShares | None = None
        if members is not None:
            self._shares = StreamShares(parts.router.pools, members, parts.progress, lease=lease)
        self._owned = AsyncExitStack()

    @property
    def stats(self) -> SubscriberStats:
        """What was done so far; a snapshot."""
        return self._progress.stats

    async def health(self) -> Health:
        """Return whether it runs, and the latest attempts to read and to forward succeeded; the server is not asked."""
        if self._lifecycle.problem:
            return Health(ok=False, problem=self._lifecycle.problem)
        if not self._lifecycle.is_running:
            return Health(ok=False, problem="the subscriber does not run")
        return self._progress.health()

    async def run(self) -> None:
        """Read and forward until `stop` or cancellation; either way, what was read is forwarded first.

        Errors of the server are logged and retried for as long as it takes. Raises `ConfigurationError` when the check
        fails, when `run` is called a second time, or after `close`, and the error of a task that died although the
        subscriber needs it.
        """
        await self._lifecycle.run(self._loop)

    def stop(self) -> None:
        """Let `run` return once what was read is forwarded: within a second or so. Stopping twice does nothing."""
        self._lifecycle.stop()

    async def close(self) -> None:
        """Stop, wait for `run` to return, and close the connections that it owns. Closing twice does nothing."""
        await self._lifecycle.close(self._owned.aclose)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _loop(self) -> None:
        if not await self._checked():
            return
        beside = [self._maintain(task) for task in self._maintenance]
        tasks = [self._lifecycle.start(work, name="maintenance") for work in beside]
        tasks.append(self._lifecycle.start(self._wake_ups.run(), name="wake-up listener"))
        tasks.append(self._lifecycle.start(self._ring(), name="wake-ups"))
        channels = [
            self._lifecycle.start(hand_over.run(), name=f"hand-over of {hand_over.channel}")
            for hand_over in self._hand_overs.values()
        ]
        if self._shares is not None:
            self._assign(set())  # until it is known who is there
            channels.append(self._lifecycle.start(self._shares.run(self._lifecycle, self._assign), name="membership"))
        try:
            await self._lifecycle.stopping.wait()
            for hand_over in self._hand_overs.values():
                hand_over.share.rang.set()
            await asyncio.wait(channels)
        finally:  # if cancelled, it is aborted: what is not forwarded stays pending
            self._lifecycle.stop()
            await cancel_and_wait(*channels, *tasks)

    def _assign(self, streams: set[str]) -> None:
        for stream, hand_over in self._hand_overs.items():
            hand_over.share.assign(is_mine=stream in streams)

    async def _checked(self) -> bool:
        """Run the check once the server answers; return whether to go on."""
        while self._check and not self._lifecycle.stopping.is_set():
            try:
                await self._check()
            except ServerError as error:
                await self._lifecycle.rest(self._progress.failed("", error, self._backoff))
            else:
                self._progress.succeeded("")
                break
        return not self._lifecycle.stopping.is_set()

    async def _ring(self) -> None:
        while True:
            for channel in await self._wake_ups.wait(LOOK):
                self._hand_overs[channel].share.rang.set()

    async def _maintain(self, task: MaintenanceTask) -> None:
        while True:
            try:
                await task.run_once()
            except ServerError as error:
                emit(Signal.SUBSCRIBER_MAINTENANCE_FAILED, task=type(task).__name__, reason=error)
            await asyncio.sleep(task.every.total_seconds())
