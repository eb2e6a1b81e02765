"""A server that a tool looks at, with the inspections of what is on it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

from redis.exceptions import NoPermissionError

from domainstream.errors import ServerError, ServerNotFoundError, ServerUnavailableError
from domainstream.redis.keys import prefix_problem
from domainstream.redis.nodes import RedisNodes
from domainstream.stream import GroupState
from domainstream.stream.dead_letters import RedisDeadLetterInspection
from domainstream.stream.inspection.groups import RedisGroupInspection
from domainstream.stream.inspection.streams import RedisStreamInspection
from domainstream.tools.common.errors import NotFoundError
from domainstream.validation import raise_problems

EXAMPLE: Final = "run: export REDIS_URL=redis://localhost:6379, or add: --redis-url redis://localhost:6379"
CONNECT_TIMEOUT: Final = 5.0
"""Seconds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RedisServer:
    """A server that has answered."""

    nodes: RedisNodes
    """The connections to it: one, or on a cluster one to each primary."""

    prefix: str
    """The prefix of all stream keys."""

    streams: RedisStreamInspection
    """The inspection of the streams below the prefix."""

    groups: RedisGroupInspection
    """The inspection of their groups."""

    dead_letters: RedisDeadLetterInspection
    """The inspection of their dead letters."""

    @property
    def place(self) -> str:
        """Host, port and database, without user and password; of a cluster, the hosts and ports of the URL."""
        topology = self.nodes.topology
        if topology is not None and topology.is_cluster:
            return ", ".join(map(str, topology.seeds))
        return f"{self.nodes.place}/{self.nodes.database}"

    @property
    def where(self) -> str:
        """Where the streams are, as errors say it."""
        return f"at {self.place}" + (f" below the prefix {self.prefix}" if self.prefix else "")

    async def require_channel(self, channel: str, *more: str) -> None:
        """Raise `NotFoundError` unless the channel has a stream; it suggests a similar channel, also one of `more`."""
        if await self.streams.stream(channel) is None:
            known = {*await self.streams.channels(), *more}
            raise NotFoundError.of("channel", channel, known, where=self.where, look="domainstream streams ls")

    async def chosen_channels(self, channel: str | None) -> list[str]:
        """Return the named channel, or all of them for None; raise `NotFoundError` as `require_channel` does."""
        if channel is None:
            return await self.streams.channels()
        await self.require_channel(channel)
        return [channel]

    async def chosen_groups(self, channel: str | None, group: str | None = None) -> list[GroupState]:
        """Return the states of all groups on the chosen channels, or only those of `group`.

        Raises `NotFoundError` as `chosen_channels` does, and if none of the channels has that group.
        """
        states = [state for name in await self.chosen_channels(channel) for state in await self.groups.groups(name)]
        if group is None:
            return states
        known = {state.group for state in states}
        if group not in known:
            raise NotFoundError.of("group", group, known, where=self.where, look="domainstream groups")
        return [state for state in states if state.group == group]


@asynccontextmanager
async def open_server(url: str | None, prefix: str) -> AsyncIterator[RedisServer]:
    """Connect for the duration of a block.

    Raises `ServerUnavailableError` when the server does not answer or rejects the user.
    """
    if not url:
        raise ServerNotFoundError(f"no server is configured; {EXAMPLE}")
    raise_problems("The prefix", [prefix_problem(prefix)])
    async with RedisNodes.open(url, socket_connect_timeout=CONNECT_TIMEOUT) as nodes:
        await _require_answer(nodes)
        yield server_of(nodes, prefix)


def server_of(nodes: RedisNodes, prefix: str) -> RedisServer:
    """Return the inspections of what is below a prefix, through connections that the caller closes."""
    return RedisServer(
        nodes=nodes,
        prefix=prefix,
        streams=RedisStreamInspection(nodes, prefix=prefix),
        groups=RedisGroupInspection(nodes, prefix=prefix),
        dead_letters=RedisDeadLetterInspection(nodes, prefix=prefix),
    )


async def _require_answer(nodes: RedisNodes) -> None:
    async def ping(redis: Any) -> None:
        with suppress(NoPermissionError):
            # Connected nevertheless; a command that the user may not run fails when it is called.
            await redis.ping()

    try:
        answers = await nodes.try_each(ping)
        # Of a cluster some nodes are enough: what needs the others says which of them does not answer.
        problems = [answer for answer in answers.values() if answer is not None]
        if len(problems) == len(answers):
            raise problems[0]
    except ServerError as error:
        advice = "" if "correct the URL" in str(error) else ". Start it, or correct --redis-url or REDIS_URL"
        raise ServerUnavailableError(f"{str(error).rstrip('.')}{advice}") from None
