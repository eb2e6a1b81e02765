"""Calls of many tasks over one connection to a server, or to each node of a cluster."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from domainstream.redis.cluster_link import ClusterLink, open_link
from domainstream.redis.errors import NoReplyError
from domainstream.redis.gatherer import Gatherer
from domainstream.redis.link import REPLY_TIMEOUT, Arguments, RedisLink, Reply, Transaction
from domainstream.redis.scripts import Script
from domainstream.redis.slot_map import SlotMap, key_slot
from domainstream.redis.topology import Address, RedisTopology
from domainstream.settings import Confirm

MAX_SIZE: Final = 50_000
"""How many arguments go out in one write at most, over all calls, each entry that they read counted as `ENTRY`: their
replies have to come within one time limit. That are 500 calls that read 16 entries, or 25 that add 500 jobs.
"""

ENTRY: Final = 5


class OtherConnectionError(Exception):
    """The connection over which a call should have gone is lost, so it was not sent."""


class Answer(NamedTuple):
    """The replies to what one task has asked."""

    replies: list[Reply]
    """One for each call or command; errors are replies."""

    connection: int
    """The number of the connection that they came over; on a cluster always 0."""


class _Calls(NamedTuple):
    """What a task asks: calls of a script, or, without one, the commands of a transaction."""

    script: Script | None
    confirm: Confirm | None
    calls: Sequence[Arguments]
    connection: int | None
    entries: int


def _size(asked: _Calls) -> int:
    return sum([len(call) for call in asked.calls]) + ENTRY * asked.entries


class CallLane:
    """Makes calls over one link, in the order in which they were asked for. For the tasks of one event loop."""

    def __init__(self, link: RedisLink) -> None:
        """Use `link` alone; it is closed with the lane."""
        self._link = link
        self._calls: Gatherer[_Calls, Answer] = Gatherer(self._send, _size, most=MAX_SIZE)

    async def eval(
        self,
        script: Script,
        calls: Sequence[Arguments],
        *,
        connection: int | None = None,
        confirm: Confirm | None = None,
        entries: int = 0,
    ) -> Answer:
        """Call `script` once for each of `calls`, in one write; see `RedisLink.eval_each`.

        `entries` is how many entries the replies may hold. With `confirm`, replies are those of
        `RedisLink.eval_each_confirmed`. Raises `OtherConnectionError` if the link has lost the connection number
        `connection`.
        """
        return await self._calls.ask(_Calls(script, confirm, calls, connection, entries))

    async def transact(self, transaction: Transaction, *, connection: int | None = None, entries: int = 0) -> Answer:
        """Send the commands of a transaction in one write; see `RedisLink.transact_each`, and `eval`."""
        return await self._calls.ask(_Calls(None, None, transaction, connection, entries))

    async def drop(self) -> None:
        """Drop the connection; what is in flight gets no reply."""
        await self._link.drop()

    async def close(self) -> None:
        """Close the link, once what waits has got its replies. Closing twice does nothing."""
        await self._calls.join()
        await self._link.close()

    async def _send(self, asked: Sequence[_Calls]) -> list[Answer | Exception]:
        answers: dict[int, Answer | Exception] = {}
        groups: dict[tuple[Script | None, Confirm | None], list[int]] = {}
        for index, calls in enumerate(asked):
            groups.setdefault((calls.script, calls.confirm), []).append(index)
        for (script, confirm), group in groups.items():
            connection = await self._link.connect(seconds=REPLY_TIMEOUT)
            if isinstance(connection, NoReplyError):
                answers |= {index: Answer([connection] * len(asked[index].calls), 0) for index in group}
                continue
            sent = [index for index in group if asked[index].connection in (None, connection)]
            replies = await self._replies(script, confirm, [asked[index].calls for index in sent])
            answers |= {index: OtherConnectionError("the connection was made anew") for index in group}
            answers |= {index: Answer(some, connection) for index, some in zip(sent, replies, strict=True)}
        return [answers[index] for index in range(len(asked))]

    async def _replies(
        self, script: Script | None, confirm: Confirm | None, asked: Sequence[Sequence[Arguments]]
    ) -> list[list[Reply]]:
        """Return the replies to each of what was asked."""
        if script is None:
            return await self._link.transact_each(asked, seconds=REPLY_TIMEOUT)
        calls = [call for some in asked for call in some]
        if confirm is None:
            replies = iter(await self._link.eval_each(script, calls, seconds=REPLY_TIMEOUT))
        else:
            made = self._link.eval_each_confirmed(script, calls, confirm=confirm, seconds=REPLY_TIMEOUT)
            replies = iter(await made)
        return [[next(replies) for _ in some] for some in asked]


class CallLanes:
    """The lane of each node, so that one that does not answer holds up only what needs it. For one event loop."""

    def __init__(self, where: str | RedisTopology, *, client_name: str | None = None) -> None:
        """Connect to `where` when needed. Raises `ConfigurationError` for an invalid URL."""
        self.topology = RedisTopology.of(where)
        """The server, the sentinels' primary or the cluster."""
        self.slots = SlotMap(self.topology, client_name=client_name)
        """Which node of a cluster has which key."""
        self._client_name = client_name
        self._lanes: dict[Address | None, CallLane] = {}

    def of(self, key: str) -> CallLane:
        """Return the lane of the node that has a key."""
        owner = self.slots.owner(key_slot(key)) if self.topology.is_cluster else None
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
            return ClusterLink(self.slots, client_name=self._client_name)
        return open_link(self.topology, client_name=self._client_name)
