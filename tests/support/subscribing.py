"""Subscribers on streams and queues in memory, whose servers fail as a test says."""

import asyncio
import copy
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any, Final

from support.consuming import EVALUATED, GROUP, PATIENCE, Channel, evaluated, message, running, until

from domainstream.event import BaseEvent
from domainstream.queue import ChannelEpoch, Fenced, MemoryJobAdder, MemoryQueue, Refusal, RoutedEntry
from domainstream.stream import (
    DeadLetter,
    Lease,
    MaintenanceTask,
    MemoryStreamReader,
    MemoryStreams,
    MemoryWakeUps,
    OnLoss,
    ReaderSettings,
    Turn,
)
from domainstream.stream.port import Read
from domainstream.subscriber import JobRouter, StreamSubscriber, Subscriptions, create_multiple_handlers, to_queue
from domainstream.subscriber.parts import HandOverParts
from domainstream.subscriber.progress import Progress

QUEUES: Final = ("valuation", "billing")
READING: Final = ReaderSettings(claim_after=timedelta(minutes=1))
SOON: Final = ReaderSettings(claim_after=timedelta(milliseconds=20))
"""With these, a sweep comes soon."""


def subscriptions_to(*queues: str) -> Subscriptions:
    """Subscribe queues to the evaluated channel, and nobody to the other."""
    handlers: Any = {channel: [] for channel in Channel}
    handlers[EVALUATED] = [to_queue(queue, job="price-stay") for queue in queues]
    return create_multiple_handlers(handlers)


class Faults:
    """What goes wrong, by the name of a call."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        """The calls that were made."""
        self.gates: dict[str, asyncio.Event] = {}
        """What a call waits for before it does anything."""
        self._before: dict[str, list[Exception]] = defaultdict(list)
        self._after: dict[str, list[Exception]] = defaultdict(list)
        self._allowed: Counter[str] = Counter()
        self._happens: dict[str, Callable[[], None]] = {}

    def fail(self, call: str, *errors: Exception, after: bool = False) -> None:
        """Let the next calls fail with these errors; `after` they have done their work, as when a reply is lost."""
        (self._after if after else self._before)[call] += errors

    def allow(self, call: str, count: int) -> None:
        """Let so many more calls succeed before what `fail` and `at` say."""
        self._allowed[call] = count

    def at(self, call: str, happens: Callable[[], None]) -> None:
        """Let something happen once before the call is made."""
        self._happens[call] = happens

    @property
    def left(self) -> int:
        """How many of them have not happened yet."""
        return sum(map(len, [*self._before.values(), *self._after.values()]))

    @asynccontextmanager
    async def around(self, call: str) -> AsyncIterator[None]:
        """Make a call, and let it fail."""
        self.calls.append(call)
        await asyncio.sleep(0)
        if call in self.gates:
            await self.gates[call].wait()
        self._allowed[call] -= 1
        if self._allowed[call] >= 0:
            yield
            return
        if call in self._happens:
            self._happens.pop(call)()
        if self._before[call]:
            raise self._before[call].pop(0)
        yield
        if self._after[call]:
            raise self._after[call].pop(0)


class FaultyReader(MemoryStreamReader):
    """A reader whose calls fail: `take`, `store_dead`, or what is read in a turn, as `new`."""

    def __init__(self, streams: MemoryStreams, faults: Faults, **options: Any) -> None:
        super().__init__(streams, group=GROUP, **options)
        self._faults = faults

    async def take(self, channel: str, *, least_epoch: int = 0) -> Lease:
        """Fail, or take."""
        async with self._faults.around("take"):
            return await super().take(channel, least_epoch=least_epoch)

    async def turn(self, channel: str, lease: Lease, read: Read, acknowledge: Sequence[str] = (), **rest: Any) -> Turn:
        """Fail, or take a turn."""
        async with self._faults.around(read):
            return await super().turn(channel, lease, read, acknowledge, **rest)

    async def store_dead(self, channel: str, lease: Lease, letters: Mapping[str, DeadLetter]) -> None:
        """Fail, or store."""
        async with self._faults.around("store_dead"):
            await super().store_dead(channel, lease, letters)


class FaultyAdder(MemoryJobAdder):
    """An adder whose calls `fence` and `add` fail."""

    def __init__(self, queue: MemoryQueue, faults: Faults) -> None:
        super().__init__(queue, group=GROUP)
        self._faults = faults

    async def fence(
        self, channel: str, lease: Lease, queues: Sequence[str]
    ) -> tuple[ChannelEpoch, Mapping[str, Fenced]]:
        """Fail, or fence."""
        async with self._faults.around("fence"):
            return await super().fence(channel, lease, queues)

    async def add(self, channel: str, entries: Sequence[RoutedEntry], epoch: ChannelEpoch) -> Sequence[Refusal]:
        """Fail, or add."""
        async with self._faults.around("add"):
            return await super().add(channel, entries, epoch)


class Instance:
    """One subscriber of a scene."""

    def __init__(
        self,
        scene: "Scene",
        name: str,
        *,
        reading: ReaderSettings,
        maintenance: Sequence[MaintenanceTask] = (),
        check: Callable[[], Awaitable[None]] | None = None,
        on_loss: OnLoss | None = None,
    ) -> None:
        self.faults = Faults()
        parts = HandOverParts(
            reader=FaultyReader(scene.streams, self.faults, instance=name, settings=reading),
            adder=FaultyAdder(scene.queue, self.faults),
            router=JobRouter(subscriptions_to(*scene.queues), delivery_limit=3),
            progress=Progress(GROUP, on_loss),
            reading=reading,
        )
        wake_ups = MemoryWakeUps(scene.streams, Channel)
        self.subscriber = StreamSubscriber(parts, wake_ups, maintenance=maintenance, check=check)

    def fail(self, call: str, *errors: Exception, after: bool = False) -> None:
        """Let its next calls fail; see `Faults.fail`."""
        self.faults.fail(call, *errors, after=after)

    @property
    def calls(self) -> list[str]:
        """The calls that it has made."""
        return self.faults.calls


class Scene:
    """Streams and queues, and any number of subscribers between them."""

    def __init__(self, *queues: str) -> None:
        self.now = 1000.0
        self.streams = MemoryStreams(clock=lambda: self.now)
        self.queue = MemoryQueue()
        self.queues = queues or ("valuation",)
        self._saved: dict[str, Any] = {}

    def instance(self, name: str = "one", *, reading: ReaderSettings = READING, **options: Any) -> Instance:
        """Open a subscriber."""
        return Instance(self, name, reading=reading, **options)

    def add(self, count: int = 1) -> list[str]:
        """Add events to the evaluated channel; return the ids of their jobs."""
        return [self.add_event(evaluated()) for _ in range(count)]

    def add_event(self, event: BaseEvent[Any]) -> str:
        """Add an event to its channel; return the id of its job."""
        self.streams.add(str(event.event_type), message(event))
        return f"event-{event.id}"

    def jobs(self, queue: str = "valuation") -> list[str]:
        """Return the ids of the jobs in a queue."""
        return [job.id for job in self.queue.jobs.get(queue, ())]

    def forget_jobs(self) -> None:
        """Let all queues forget their jobs, as if they were done and removed."""
        self.queue.jobs.clear()
        self.queue.known.clear()

    def save(self) -> None:
        """Remember the queues as a replica has them that falls behind."""
        self._saved = copy.deepcopy(vars(self.queue))

    def fall_back(self) -> None:
        """Let the queues' server lose what was written since."""
        vars(self.queue).update(copy.deepcopy(self._saved))

    def lose(self, queue: str) -> None:
        """Let one queue, on a server of its own, lose what was written since it was saved."""
        saved = copy.deepcopy(self._saved)
        self.queue.jobs[queue] = saved["jobs"].get(queue, [])
        self.queue.known = {one for one in self.queue.known if one[0] != queue} | {
            one for one in saved["known"] if one[0] == queue
        }
        self.queue.marks |= {key: mark for key, mark in saved["marks"].items() if key[0] == queue}

    @property
    def pending(self) -> list[str]:
        """The ids of the entries of the evaluated channel that are pending."""
        group = self.streams.groups.get((EVALUATED, GROUP))
        return list(group.pending) if group else []

    @property
    def owner(self) -> str:
        """Who has the lease of the evaluated channel."""
        return self.streams.leases[EVALUATED, GROUP].owner

    def is_settled(self, channel: str = EVALUATED) -> bool:
        """Return whether the group has read and acknowledged everything."""
        group = self.streams.groups.get((channel, GROUP))
        return group is not None and not self.streams.between(channel, group.last_id) and not group.pending

    async def settled(self) -> None:
        """Wait until everything is read and acknowledged."""
        await until(self.is_settled)

    async def crash(self, instance: Instance, call: str) -> None:
        """Run a subscriber until it dies at a call, which is not made."""
        instance.fail(call, CrashError())
        run = asyncio.create_task(instance.subscriber.run())
        await asyncio.wait([run], timeout=PATIENCE)
        assert run.done()
        assert isinstance(run.exception(), CrashError)

    @asynccontextmanager
    async def running(self, *instances: Instance) -> AsyncIterator[None]:
        """Run subscribers for the time of the block."""
        async with AsyncExitStack() as stack:
            for instance in instances:
                await stack.enter_async_context(running(instance.subscriber))
            yield


class CrashError(Exception):
    """What a subscriber dies of in a test."""
