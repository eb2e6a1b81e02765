"""Instances that hand events over in order, each a few calls of the scripts, so that a test says what happens when."""

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import RedisError
from support.consuming import BullJobs

from domainstream.queue import Job, JobSettings, RoutedEntry
from domainstream.queue.bullmq.add_calls import (
    add_calls,
    add_script,
    fence_call,
    fence_script,
    fenced_of,
    mark_field,
    marks_key,
    note_reached,
)
from domainstream.queue.port import ChannelEpoch, Fenced
from domainstream.redis.keys import companion_key
from domainstream.redis.link import RedisLink
from domainstream.redis.scripts import Script
from domainstream.stream import Delivery
from domainstream.stream.lease import Lease
from domainstream.stream.port import NOTHING, Turn
from domainstream.stream.reader.turns import TURN, Call, Step, StreamTurns

CHANNEL: Final = "domain_coding_thing_done"
GROUP: Final = "group"
TTL_MS: Final = 60_000
FIRST_TOKEN: Final = "11111111"
NO_CHANGES: Final[Mapping[Script, Script]] = MappingProxyType({})


class RefusedError(Exception):
    """What a script answered instead of doing what it was asked."""


def events(deliveries: Sequence[Delivery]) -> list[str]:
    """Return the events of deliveries."""
    return [(delivery.data or b"").decode() for delivery in deliveries]


def routed(deliveries: Sequence[Delivery], *queues: str, settings: JobSettings | None = None) -> list[RoutedEntry]:
    """Return deliveries that become a job in each queue, whose id is that of the event."""
    chosen = settings or JobSettings()
    return [
        RoutedEntry(
            delivery,
            tuple(Job(queue, "job", f"event-{event}", delivery.data or b"", settings=chosen) for queue in queues),
        )
        for delivery, event in zip(deliveries, events(deliveries), strict=True)
    ]


@dataclass
class HandOver:
    """One stream, the queues of its events, and the servers that have them."""

    redis: Redis
    """The server of the stream."""
    url: str
    """Its URL."""
    prefix: str
    """What begins all keys."""
    queues: Redis | None = None
    """The server of the queues, if it is another."""
    queues_url: str = ""
    """Its URL."""
    owned: AsyncExitStack = field(default_factory=AsyncExitStack)
    """What closes the links."""

    @property
    def stream(self) -> str:
        """The key of the stream."""
        return f"{self.prefix}{CHANNEL}"

    @property
    def lease(self) -> str:
        """The key of its lease."""
        return companion_key(self.stream, f"lease:{GROUP}")

    @property
    def bull_prefix(self) -> str:
        """What begins all keys of queues."""
        return f"{self.prefix}bull"

    @property
    def queue_server(self) -> Redis:
        """The server of the queues."""
        return self.queues or self.redis

    def marks(self, queue: str) -> str:
        """Return the key of a queue's marks."""
        return marks_key(self.bull_prefix, queue)

    async def add(self, **event_of_id: str) -> None:
        """Add events with these ids, `i7_1="seven"` for id 7-1; make the group if there is none."""
        if not await self.redis.exists(self.stream):
            await self.redis.xgroup_create(self.stream, GROUP, id="0", mkstream=True)
        for name, event in event_of_id.items():
            await self.redis.xadd(self.stream, {"data": event}, id=name.removeprefix("i").replace("_", "-"))

    async def jobs(self, queue: str = "valuation", state: str = "wait") -> list[str]:
        """Return the events whose jobs are in a queue, oldest first."""
        ids = await BullJobs(self.queue_server, self.bull_prefix, queue).ids(state)
        return [job.removeprefix("event-") for job in ids]

    async def forget(self, queue: str = "valuation") -> None:
        """Let a queue forget all its jobs, as if they were done and removed."""
        for key in await self.queue_server.keys(f"{self.bull_prefix}:{queue}:*"):
            if key != self.marks(queue).encode():
                await self.queue_server.delete(key)

    async def pending(self) -> list[str]:
        """Return the ids of the entries that are pending."""
        rows: Any = await self.redis.xpending_range(self.stream, GROUP, "-", "+", 1000)
        return [row["message_id"].decode() for row in rows]

    async def saved(self, *keys: str) -> dict[str, bytes | None]:
        """Return these keys as a replica has them that then falls behind."""
        return {key: await self.redis.dump(key) for key in keys}

    async def fall_back(self, saved: dict[str, bytes | None]) -> None:
        """Promote that replica: what was written later is gone."""
        for key, dumped in saved.items():
            await self.redis.delete(key)
            if dumped is not None:
                await self.redis.restore(key, 0, dumped, replace=True)

    async def expire_lease(self) -> None:
        """Let the owner's lease run out."""
        mapping: Any = {"until": "1"}
        await self.redis.hset(self.lease, mapping=mapping)

    def instance(self, name: str, *queues: str, instead_of: Mapping[Script, Script] = NO_CHANGES) -> "Instance":
        """Return an instance that feeds these queues, `valuation` by default; it may call other scripts."""
        link = RedisLink.from_url(self.url)
        queue_link = RedisLink.from_url(self.queues_url) if self.queues_url else link
        for one in (link, queue_link):
            self.owned.push_async_callback(one.close)
        return Instance(self, name, queues or ("valuation",), (link, queue_link), instead_of)


class Instance:
    """One subscriber, as far as the scripts know it."""

    lease: Lease
    seen: str

    def __init__(
        self,
        scene: HandOver,
        name: str,
        queues: Sequence[str],
        links: tuple[RedisLink, RedisLink],
        instead_of: Mapping[Script, Script],
    ) -> None:
        self.scene, self.queues, self._instead_of = scene, queues, instead_of
        self.link, self.queue_link = links
        self.calls = StreamTurns(stream=scene.stream, channel=CHANNEL, group=GROUP, instance=name, ttl_ms=TTL_MS)
        self.epoch = ChannelEpoch(mark="", epoch=0, queues=queues)
        self.adding, self._fence = add_script(), fence_script()

    async def take(self, token: str = FIRST_TOKEN, *, least_epoch: int = 0) -> Lease:
        """Take the lease; no queue knows of it yet."""
        return await self._take(self.calls.take(token, least_epoch=least_epoch))

    async def rotate(self, token: str) -> Lease:
        """Take the lease with a new token, and make the group if there is none."""
        return await self._take(self.calls.take(token, rotate=True))

    async def call(self, call: Call) -> Any:
        """Make a call; return the reply, or raise it if it is an error."""
        (reply,) = await self.link.eval_each(self._instead_of.get(call.script, call.script), [call.arguments])
        return accepted(reply)

    async def _take(self, call: Call) -> Lease:
        self.lease = self.calls.lease_of(await self.call(call))
        await self.link.ask(("SCRIPT", "LOAD", TURN.text), seconds=5)
        self.seen = self.lease.last_delivered
        mark = mark_field(GROUP, self.scene.stream, self.lease.token)
        self.epoch = ChannelEpoch(mark=mark, epoch=self.lease.epoch, queues=self.queues)
        return self.lease

    async def fence(self) -> list[Fenced]:
        """Announce the epoch to the queues, under the token before, too."""
        fields = {self.epoch.mark}
        if self.lease.token_before:
            fields.add(mark_field(GROUP, self.scene.stream, self.lease.token_before))
        lease = self.lease
        state = (lease.epoch, lease.last_delivered, lease.epoch_before, lease.first_pending)
        channels = [(field, *state) for field in sorted(fields)]
        calls = [fence_call(queue, channels, bull_prefix=self.scene.bull_prefix) for queue in self.queues]
        replies = await self.queue_link.eval_each(self._fence, calls)
        at = sorted(fields).index(self.epoch.mark)
        return [fenced_of(accepted(reply))[at] for reply in replies]

    async def announce_only(self) -> None:
        """Do what a fence does but for lowering the marks, so that a test shows what that is for."""
        for queue in self.queues:
            value: Any = await self.scene.queue_server.hget(self.scene.marks(queue), self.epoch.mark)
            entry_id = value.decode().split()[1] if value else "0-0"
            mapping: Any = {self.epoch.mark: f"{self.lease.epoch} {entry_id}"}
            await self.scene.queue_server.hset(self.scene.marks(queue), mapping=mapping)

    async def begin(self) -> None:
        """Take the lease and announce that."""
        await self.take()
        await self.fence()

    async def read(
        self,
        what: Step,
        acknowledge: Sequence[Delivery] = (),
        *,
        reached: Mapping[str, str] = NOTHING,
        after: str = "0-0",
        count: int = 100,
    ) -> Turn:
        """Take a turn."""
        ids = [delivery.entry_id for delivery in acknowledge]
        call = self.calls.turn(self.epoch.epoch, what, ids, reached=reached, after=after, count=count)
        return self.calls.turn_of(await self.call(call))

    async def new(self, *, count: int = 100) -> Sequence[Delivery]:
        """Return new entries."""
        return (await self.read_new(count=count)).deliveries

    async def read_new(self, acknowledge: Sequence[Delivery] = (), *, count: int = 100) -> Turn:
        """Take a turn that reads new entries."""
        ids = [delivery.entry_id for delivery in acknowledge]
        commands = self.calls.new(self.epoch.epoch, self.seen, ids, count=count)
        try:
            turn = self.calls.new_turn_of(await self.link.exchange(*commands, seconds=5))
        except RedisError as error:
            raise RefusedError(str(error)) from error
        self.seen = turn.deliveries[-1].entry_id if turn.deliveries else self.seen
        return turn

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """Acknowledge in a turn that reads nothing."""
        await self.read("renew", deliveries)

    async def add(self, entries: Sequence[RoutedEntry]) -> list[Any]:
        """Add jobs; return for each call how many were added, and which entries were refused."""
        epochs = {CHANNEL: self.epoch}
        calls = [call.arguments for call in add_calls(entries, epochs, bull_prefix=self.scene.bull_prefix)]
        replies = [accepted(reply) for reply in await self.queue_link.eval_each(self.adding, calls)]
        note_reached(entries, epochs)
        return replies

    async def forward(self, deliveries: Sequence[Delivery]) -> None:
        """Add a job in each queue for each delivery, then acknowledge."""
        await self.add(routed(deliveries, *self.queues))
        await self.acknowledge(deliveries)


def accepted(reply: Any) -> Any:
    """Return a reply; raise it if it is an error."""
    if isinstance(reply, Exception):
        raise RefusedError(str(reply)) from reply
    return reply
