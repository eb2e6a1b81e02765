"""The facts behind the pages, read by the same inspections as those of the commands and shared by all viewers."""

import asyncio
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from domainstream.channel.partitions import in_channel_order
from domainstream.queue.bullmq.inspection import BullMQInspection, JobState
from domainstream.queue.bullmq.order import BullMQOrder, HeldKey, OrderState
from domainstream.queue.bullmq.queue_states import QueueState
from domainstream.redis.nodes import RedisNodes
from domainstream.stream import GroupState, StoredDeadLetter, StreamState
from domainstream.stream.dead_letters import DeadLetterState
from domainstream.tools.check.model.project import Project
from domainstream.tools.check.project import read_project
from domainstream.tools.common.server import CONNECT_TIMEOUT, RedisServer, server_of
from domainstream.tools.dashboard.cached import Cached
from domainstream.tools.dashboard.outboxes import Outboxes
from domainstream.tools.dashboard.rates import Rates
from domainstream.tools.dashboard.settings import DashboardSettings
from domainstream.tools.doctor.diagnosis import DiagnosisSettings, diagnose
from domainstream.tools.doctor.finding import Finding


class Names(Struct, frozen=True, kw_only=True):
    """What there is below the prefixes."""

    channels: list[str]
    """The channels that have a stream."""

    dead: list[str]
    """The channels that have dead letters, or had some."""

    queues: list[str]
    """The BullMQ queues."""

    @property
    def all_channels(self) -> list[str]:
        """The channels that have either."""
        return in_channel_order({*self.channels, *self.dead})


class QueueFacts(Struct, frozen=True, kw_only=True):
    """A BullMQ queue."""

    state: QueueState
    """Its jobs by state."""

    order: OrderState | None
    """How its order is kept; None if its jobs are not handled in order."""

    held: int
    """How many keys a failed job holds, up to `HELD_LIMIT`, among the newest failed jobs."""


class ChannelFacts(Struct, frozen=True, kw_only=True):
    """A channel's stream."""

    channel: str
    """The channel's value."""

    stream: StreamState | None
    """Its entries; None if only its dead letters are left."""

    groups: list[GroupState]
    """Who reads it."""

    dead: DeadLetterState | None
    """Its dead letters; None if it has none."""

    rate: float | None = None
    """How many entries are added in a second; None while that is not known."""

    @property
    def lag(self) -> int:
        """How many entries the group that is furthest behind has not settled."""
        return max((group.lag for group in self.groups), default=0)

    @property
    def oldest_ms(self) -> int | None:
        """The age of the oldest entry that a group has not settled, in milliseconds; None without any."""
        return max((group.oldest_ms for group in self.groups if group.oldest_ms is not None), default=None)


class Totals(Struct, frozen=True, kw_only=True):
    """How much there is of everything."""

    failed: int
    """Jobs that have failed permanently."""

    held: int
    """Keys that a failed job holds."""

    dead: int
    """Dead letters."""

    lag: int
    """Entries that a group has not settled."""

    oldest_ms: int
    """The age of the oldest of these, in milliseconds; 0 without any."""

    waiting: int
    """Jobs that may begin."""

    active: int
    """Jobs that are being handled."""

    @classmethod
    def of(cls, queues: Sequence[QueueFacts], channels: Sequence[ChannelFacts]) -> "Totals":
        """Return the totals of these."""
        return cls(
            failed=sum(queue.state.failed for queue in queues),
            held=sum(queue.held for queue in queues),
            dead=sum(channel.dead.letters for channel in channels if channel.dead),
            lag=sum(channel.lag for channel in channels),
            oldest_ms=max((channel.oldest_ms or 0 for channel in channels), default=0),
            waiting=sum(queue.state.waiting for queue in queues),
            active=sum(queue.state.active for queue in queues),
        )


HELD_LIMIT: Final = 200
"""How many held keys are listed."""


class Facts:
    """What is on the server, and what the code of the system says. For the tasks of one event loop."""

    def __init__(self, settings: DashboardSettings) -> None:
        self.settings = settings
        """What is looked at."""
        self.nodes = RedisNodes.open(settings.redis_url, socket_connect_timeout=CONNECT_TIMEOUT)
        """The connections."""
        self.server: RedisServer = server_of(self.nodes, settings.prefix)
        """The inspections of streams."""
        self.jobs = BullMQInspection(self.nodes, bull_prefix=settings.bull_prefix)
        """The inspection of queues."""
        self.order = BullMQOrder(self.nodes, bull_prefix=settings.bull_prefix)
        """The order of queues."""
        self.outboxes = Outboxes(settings.outboxes)
        """The outboxes."""
        self._rates = Rates()
        self.names = Cached(self._names, seconds=10)
        """What there is; the whole database is searched for it."""
        self.findings = Cached(self._findings, seconds=30)
        """What the doctor finds."""
        self.queues = Cached(self._queues, seconds=1)
        """The queues."""
        self.channels = Cached(self._channels, seconds=1)
        """The channels."""
        self.project = Cached(self._project, seconds=60)
        """The system's code, in a list; an empty one without it."""

    def forget(self) -> None:
        """Read everything anew next time: something has been changed."""
        for cached in (self.findings, self.queues, self.channels):
            cached.forget()
        self.outboxes.forget()

    async def now_ms(self) -> int:
        """Return the server's clock, in milliseconds since 1970."""
        return await self.server.streams.now_ms()

    async def queue(self, name: str) -> QueueFacts | None:
        """Return one queue; None if there is none of this name."""
        return next((queue for queue in await self.queues.get() if queue.state.queue == name), None)

    async def channel(self, name: str) -> ChannelFacts | None:
        """Return one channel; None if there is none of this name."""
        if name not in (await self.names.get()).all_channels:
            return None
        (channel,) = await self.channel_facts(name)
        return channel

    async def held_keys(self, queue: str, limit: int = HELD_LIMIT) -> list[HeldKey]:
        """Return the keys that a failed job of a queue holds, the last first, of as many jobs as a sample has."""
        found: list[HeldKey] = []
        async for key in self.order.held(queue, most=self.settings.sample):
            found.append(key)
            if len(found) == limit:
                break
        return found

    async def newest_jobs(self, queue: str, state: str, *, start: int = 0, count: int = 50) -> list[JobState]:
        """Return a page of the jobs in a state, the newest first."""
        return await self.jobs.newest(queue, state, start=start, count=count)

    async def dead_letters(self, channel: str, limit: int) -> list[StoredDeadLetter]:
        """Return the dead letters of a channel, the oldest first."""
        found: list[StoredDeadLetter] = []
        async for stored in self.server.dead_letters.dead_letters(channel):
            found.append(stored)
            if len(found) == limit:
                break
        return found

    async def queue_facts(self, *names: str) -> list[QueueFacts]:
        """Read queues, in few round trips."""
        states = await self.jobs.states(names)
        orders = await self.order.states([one.queue for one in states if one.waiting_children or one.failed])
        facts = []
        for state in states:
            order = orders.get(state.queue)
            held = len(await self.held_keys(state.queue)) if order and state.failed else 0
            facts.append(QueueFacts(state=state, order=order, held=held))
        return facts

    async def channel_facts(self, *names: str) -> list[ChannelFacts]:
        """Read channels, in few round trips."""
        streams = {stream.channel: stream for stream in await self.server.streams.streams(names)}
        groups: dict[str, list[GroupState]] = {}
        for group in await self.server.groups.groups_of([*streams.values()]):
            groups.setdefault(group.channel, []).append(group)
        dead = await self.server.dead_letters.states(names)
        return [
            ChannelFacts(
                channel=name,
                stream=stream,
                groups=groups.get(name, []),
                dead=dead.get(name),
                rate=self._rates.note(name, stream.added) if stream else None,
            )
            for name in names
            for stream in [streams.get(name)]
        ]

    async def close(self) -> None:
        """Stop reading, and close the connections."""
        for cached in (self.findings, self.queues, self.channels, self.names):
            await cached.close()
        await self.outboxes.close()
        await self.nodes.close()

    async def _names(self) -> Names:
        return Names(
            channels=await self.server.streams.channels(),
            dead=await self.server.dead_letters.channels(),
            queues=await self.jobs.queues(),
        )

    async def _queues(self) -> list[QueueFacts]:
        return await self.queue_facts(*(await self.names.get()).queues)

    async def _channels(self) -> list[ChannelFacts]:
        return await self.channel_facts(*(await self.names.get()).all_channels)

    async def _findings(self) -> Sequence[Finding]:
        projects = await self.project.get()
        numbers = projects[0].partitions if projects else {}
        settings = DiagnosisSettings(
            bull_prefix=self.settings.bull_prefix,
            partitions={channel: number for channel, number in numbers.items() if number is not None},
        )
        return await diagnose(self.server, settings)

    async def _project(self) -> list[Project]:
        if self.settings.system is None:
            return []
        return [await asyncio.to_thread(read_project, self.settings.system)]
