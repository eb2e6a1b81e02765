"""Calls of many tasks over one connection: those that are made while the server is busy go out together, in one write.

A task that needs one reply at a time can be written as if it were alone, and still a hundred of them cost no more
round trips than one.
"""

import asyncio
from collections.abc import Sequence
from typing import Final, NamedTuple

from domainstream.redis.cluster_link import ClusterLink, open_link
from domainstream.redis.errors import NoReplyError
from domainstream.redis.link import REPLY_TIMEOUT, Arguments, RedisLink, Reply, Transaction
from domainstream.redis.scripts import Script
from domainstream.redis.slot_map import SlotMap, key_slot
from domainstream.redis.topology import Address, RedisTopology
from domainstream.settings import Confirm

MAX_CALLS: Final = 64
"""How many calls go out in one write at most: their replies have to come within one time limit."""


class Answer(NamedTuple):
    """The replies to what one task has asked."""

    replies: list[Reply]
    """One for each call or command; errors are replies."""

    connection: int
    """The number of the connection that they came over; on a cluster always 0."""


class _Waiting(NamedTuple):
    """What a task has asked: calls of a script, or, without one, the commands of a transaction."""

    script: Script | None
    confirm: Confirm | None
    calls: Sequence[Arguments]
    connection: int | None
    answer: "asyncio.Future[Answer]"


class CallLane:
    """Makes calls over one link, in the order in which they were asked for. For the tasks of one event loop."""

    def __init__(self, link: RedisLink) -> None:
        """Use `link` alone; it is closed with the lane."""
        self.link = link
        """The link."""
        self._waiting: list[_Waiting] = []
        self._sending: asyncio.Task[None] | None = None

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits or is in flight."""
        return self._sending is None

    async def eval(
        self,
        script: Script,
        calls: Sequence[Arguments],
        *,
        connection: int | None = None,
        confirm: Confirm | None = None,
    ) -> Answer:
        """Call `script` once for each of `calls`, in one write; see `RedisLink.eval_each`.

        If the link has lost the connection with the number `connection`, they are not sent. With `confirm`, replies are
        those of `RedisLink.eval_each_confirmed`.
        """
        return await self._ask(script, calls, connection, confirm)

    async def transact(self, transaction: Transaction, *, connection: int | None = None) -> Answer:
        """Send the commands of a transaction in one write; see `RedisLink.transact_each`, and `eval`."""
        return await self._ask(None, transaction, connection, None)

    async def drop(self) -> None:
        """Drop the connection; what is in flight gets no reply."""
        await self.link.drop()

    async def close(self) -> None:
        """Close the link, once what waits has got its replies. Closing twice does nothing."""
        if self._sending is not None:
            await asyncio.wait([self._sending])
        await self.link.close()

    async def _ask(
        self, script: Script | None, calls: Sequence[Arguments], connection: int | None, confirm: Confirm | None
    ) -> Answer:
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(script, confirm, calls, connection, answer))
        if self._sending is None:
            self._sending = asyncio.create_task(self._send_all(), name="domainstream calls")
        return await answer

    async def _send_all(self) -> None:
        taken: list[_Waiting] = []
        try:
            while self._waiting:
                taken = self._take()
                await self._send(taken)
        finally:
            self._sending = None
            for waiting in (*taken, *self._waiting):  # only if the event loop is being shut down, or by a bug of ours
                waiting.answer.cancel()
            self._waiting.clear()

    def _take(self) -> list[_Waiting]:
        """Take what goes out next."""
        calls = end = 0
        while end < len(self._waiting) and (not end or calls + len(self._waiting[end].calls) <= MAX_CALLS):
            calls += len(self._waiting[end].calls)
            end += 1
        taken, self._waiting = self._waiting[:end], self._waiting[end:]
        return taken

    async def _send(self, taken: Sequence[_Waiting]) -> None:
        groups: dict[tuple[Script | None, Confirm | None], list[_Waiting]] = {}
        for waiting in taken:
            groups.setdefault((waiting.script, waiting.confirm), []).append(waiting)
        for (script, confirm), group in groups.items():
            connection = await self.link.connect(seconds=REPLY_TIMEOUT)
            for waiting in group:
                if waiting.connection not in (None, connection):
                    lost = NoReplyError(ConnectionError("the connection was made anew"), sent=False)
                    _answer(waiting, [lost] * len(waiting.calls), connection)
            sent = [waiting for waiting in group if not waiting.answer.done()]
            if sent and script:
                await self._eval(script, confirm, sent, connection)
            elif sent:
                transactions = [waiting.calls for waiting in sent]
                replies = await self.link.transact_each(transactions, seconds=REPLY_TIMEOUT)
                for waiting, some in zip(sent, replies, strict=True):
                    _answer(waiting, some, connection)

    async def _eval(self, script: Script, confirm: Confirm | None, sent: Sequence[_Waiting], connection: int) -> None:
        calls = [call for waiting in sent for call in waiting.calls]
        if confirm is None:
            replies = await self.link.eval_each(script, calls, seconds=REPLY_TIMEOUT)
        else:
            replies = await self.link.eval_each_confirmed(script, calls, confirm=confirm, seconds=REPLY_TIMEOUT)
        first = 0
        for waiting in sent:
            _answer(waiting, replies[first : first + len(waiting.calls)], connection)
            first += len(waiting.calls)


def _answer(waiting: _Waiting, replies: list[Reply], connection: int) -> None:
    if not waiting.answer.done():  # whoever asked may have been cancelled
        waiting.answer.set_result(Answer(replies, connection))


class CallLanes:
    """The lane of each node, so that one that does not answer holds up only what needs it. For one event loop."""

    def __init__(self, where: str | RedisTopology, *, client_name: str | None = None) -> None:
        """Connect to `where` when needed. Raises `ConfigurationError` for an invalid URL."""
        self.topology = RedisTopology.of(where)
        """The server, the sentinels' primary or the cluster."""
        self._client_name = client_name
        self._slots = SlotMap(self.topology, client_name=client_name)
        self._lanes: dict[Address | None, CallLane] = {}
        self._version = 0

    def of(self, key: str) -> CallLane:
        """Return the lane of the node that has a key."""
        owner = self._slots.owner(key_slot(key)) if self.topology.is_cluster else None
        lane = self._lanes.get(owner)
        if lane is None:
            lane = self._lanes[owner] = CallLane(self._link())
        return lane

    async def close(self) -> None:
        """Close all lanes. Closing twice does nothing."""
        for lane in self._lanes.values():
            await lane.close()

    def _link(self) -> RedisLink:
        if self.topology.is_cluster:
            return ClusterLink(self._slots, client_name=self._client_name)
        return open_link(self.topology, client_name=self._client_name)
