"""A lane for each primary of a Redis Cluster, so that a dead one does not hold up the channels of the others.

Order is kept per stream: all that waits or is in flight for a target is in one lane. When the slot of its stream moves
to another node, the lane sends to that node, and hands the target over as soon as it has nothing in flight.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from domainstream.channel.partitions import parse_target
from domainstream.publisher.lane import Lane, ping_within
from domainstream.publisher.pending import BatchSender, PendingPublish
from domainstream.publisher.settings import BatchLimits
from domainstream.redis.connection import link_pool
from domainstream.redis.errors import NoReplyError, server_error
from domainstream.redis.keys import stream_key
from domainstream.redis.slot_map import SlotMap, key_slot
from domainstream.redis.topology import Address

FIRST_LOOK: Final = 2.0
"""Seconds that messages wait for the first look at the cluster's nodes before they are sent at a venture."""


class NodeLane(Lane):
    """The lane for the streams of one primary."""

    def __init__(self, lanes: "NodeLanes", sender: BatchSender, limits: BatchLimits) -> None:
        super().__init__(sender, limits)
        self.version = lanes.slots.version
        """The version of the slot map by which this lane has its targets."""
        self._lanes = lanes

    def take_waiting(self) -> deque[PendingPublish]:
        """Hand out all that waits."""
        waiting, self._waiting = self._waiting, deque()
        return waiting

    async def _prepare(self) -> None:
        """Give away the targets at other nodes, whose messages are all still waiting."""
        slots = self._lanes.slots
        if not slots.version:
            with suppress(NoReplyError, TimeoutError):  # sending says the same, and repeats it
                async with asyncio.timeout(FIRST_LOOK):
                    await slots.refresh()
        if self.version != slots.version:
            await self._lanes.rearrange(self)


class NodeLanes:
    """The lanes of a publisher on a cluster. For the tasks of one event loop."""

    def __init__(
        self, slots: SlotMap, make_sender: Callable[[], BatchSender], limits: BatchLimits, *, prefix: str = ""
    ) -> None:
        """Choose lanes by `slots` and the keys of streams under `prefix`; `make_sender` is called for each lane."""
        self.slots = slots
        """Which node has which slot."""
        self._make_sender = make_sender
        self._limits = limits
        self._prefix = prefix
        self._lanes: dict[Address | None, NodeLane] = {}
        self._by_target: dict[str, NodeLane] = {}

    @property
    def problem(self) -> str:
        """Why a lane's last flush died; empty if none has."""
        return next((lane.problem for lane in self._lanes.values() if lane.problem), "")

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits or is in flight."""
        return all(lane.is_idle for lane in self._lanes.values())

    def append(self, pending: PendingPublish) -> None:
        """Let what was not yet taken of a call wait in the lanes of its targets."""
        if len(pending.messages) == 1:
            self._lane_of(pending.messages[0].target).append(pending)
            return
        by_lane: dict[NodeLane, list[int]] = {}
        for index in range(pending.taken, len(pending.messages)):
            by_lane.setdefault(self._lane_of(pending.messages[index].target), []).append(index)
        whole = len(by_lane) == 1 and not pending.taken
        for lane, indexes in by_lane.items():
            lane.append(pending if whole else pending.part(indexes))

    def withdraw(self, pending: PendingPublish) -> None:
        """Never send what was not yet taken into a flush."""
        if pending.taken == len(pending.messages):
            return
        for some in pending.parts or (pending,):
            for lane in self._lanes.values():
                lane.withdraw(some)

    async def join(self) -> None:
        """Wait until nothing waits or is in flight."""
        while not self.is_idle:
            await asyncio.gather(*(lane.join() for lane in self._lanes.values()))

    async def ping(self, seconds: float) -> str | None:
        """Return what is wrong with the primaries, or None if each of them answers within `seconds`."""
        topology = self.slots.topology
        try:
            async with asyncio.timeout(seconds):
                await self.slots.refresh()
        except NoReplyError as error:
            return str(server_error(error, topology.place))
        except TimeoutError:
            return f"no reply from {topology.place} within {seconds:g} s"
        pools = [link_pool(topology.url_of(address)) for address in self.slots.primaries()]
        problems = await asyncio.gather(*(ping_within(pool, seconds) for pool in pools))
        return "; ".join(problem for problem in problems if problem) or None

    async def close(self) -> None:
        """Close the senders; call `join` first."""
        for lane in self._lanes.values():
            await lane.close()

    async def rearrange(self, lane: NodeLane) -> None:
        """Move the targets of a lane with nothing in flight to where they belong now, and all that waits with them.

        The same for the targets of idle lanes; those without any are closed.
        """
        movable = {lane, *(other for other in self._lanes.values() if other.is_idle)}
        for target, current in self._by_target.items():
            if current in movable:
                self._by_target[target] = self._lane_at(target)
        for each in movable:
            each.version = self.slots.version
        for pending in lane.take_waiting():
            self.append(pending)
        used = {*self._by_target.values(), lane}
        for address, other in list(self._lanes.items()):
            if other not in used and other.is_idle:
                del self._lanes[address]
                await other.close()

    def _lane_of(self, target: str) -> NodeLane:
        """Return the lane of a target, which stays the same while the lane is busy."""
        lane = self._by_target.get(target)
        if lane is None or (lane.version != self.slots.version and lane.is_idle):
            lane = self._by_target[target] = self._lane_at(target)
        return lane

    def _lane_at(self, target: str) -> NodeLane:
        """Return the lane of the node that has the target's stream."""
        address = self.slots.owner(key_slot(stream_key(parse_target(target).stream, self._prefix)))
        lane = self._lanes.get(address)
        if lane is None:
            lane = self._lanes[address] = NodeLane(self, self._make_sender(), self._limits)
        return lane
