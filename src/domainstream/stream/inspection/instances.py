"""Looks at who reads streams: the members of groups, their leases, and consumers that hold entries."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from msgspec import Struct
from redis.asyncio import Redis
from redis.asyncio.client import Pipeline

from domainstream.redis.asking import Ask, ask_each, clocks_of
from domainstream.redis.keys import lease_key, stream_key
from domainstream.redis.nodes import RedisNodes
from domainstream.stream.inspection.groups import SUBSCRIPTIONS
from domainstream.stream.inspection.streams import NO_STREAM
from domainstream.stream.reader.turns import CONSUMER
from domainstream.stream.state import GroupState
from domainstream.validation import plain_name

IDLE_MS: Final = 300_000
"""A consumer of another program that has not read for longer, in milliseconds, is taken for gone."""

_MISSING: Final = (*NO_STREAM, "NOGROUP")


class OwnedStream(Struct, frozen=True, kw_only=True):
    """A stream that an instance reads for a group."""

    channel: str
    """The channel's value."""

    beat_ms: int
    """How long ago the instance renewed its lease, in milliseconds."""


class Instance(Struct, frozen=True, kw_only=True):
    """An instance of a subscriber."""

    group: str
    """The group that it reads for."""

    name: str
    """Its name, and a token that no other instance has."""

    subscriptions: str
    """The digest of its subscriptions."""

    streams: tuple[OwnedStream, ...]
    """The streams whose leases it has."""

    is_member: bool
    """Whether it says that it is there: if not, it has leases that have not run out."""

    @property
    def beat_ms(self) -> int | None:
        """How long ago it last renewed a lease, in milliseconds; None if it has none."""
        return min((stream.beat_ms for stream in self.streams), default=None)


class StrandedConsumer(Struct, frozen=True, kw_only=True):
    """A consumer that holds pending entries, and that nobody reads as."""

    channel: str
    """The channel's value."""

    group: str
    """The group's name."""

    consumer: str
    """The consumer's name."""

    pending: int
    """How many entries it has not acknowledged."""

    idle_ms: int
    """How long ago it last read, in milliseconds."""


class Readers(Struct, frozen=True, kw_only=True):
    """Who reads the streams of some groups."""

    instances: list[Instance]
    """The instances that are there, by group and name."""

    stranded: list[StrandedConsumer]
    """The consumers that hold entries and are not there, those with the most entries first."""


class RedisInstanceInspection:
    """The instances that read the streams below a prefix.

    For one task. Raises the same errors as `StreamReader`.
    """

    def __init__(self, client: Redis | RedisNodes, *, prefix: str = "") -> None:
        """Look through `client`, which the caller closes."""
        self._nodes = RedisNodes.of(client)
        self._prefix = prefix

    async def readers(self, groups: Sequence[GroupState]) -> Readers:
        """Return who reads for these groups, in few round trips."""
        members = await self._members({group.group for group in groups})
        owned, owners = await self._owned(groups)
        found = {*owned, *((group, owner) for group, names in members.items() for owner in names)}
        instances = [
            _instance(group, owner, owned.get((group, owner), ()), is_member=owner in members[group])
            for group, owner in sorted(found)
        ]
        waiting = [group for group in groups if group.pending]
        return Readers(instances=instances, stranded=await self._stranded(waiting, owners))

    async def _members(self, groups: Iterable[str]) -> dict[str, list[str]]:
        """Return the owners that say that they are there, by group."""
        keys = {group: stream_key(f"{plain_name(group)}:members", self._prefix) for group in groups}
        clocks = await clocks_of(self._nodes, keys.values())
        asks = {key: [partial(_ask_members, key=key, now_ms=clocks[key])] for key in keys.values()}
        replies = await ask_each(self._nodes, asks, missing=NO_STREAM)
        return {
            group: [member.decode().split(" ", 1)[1] for member in replies[key][0] or ()] for group, key in keys.items()
        }

    async def _owned(
        self, groups: Sequence[GroupState]
    ) -> tuple[dict[tuple[str, str], list[OwnedStream]], set[tuple[str, str]]]:
        """Return the streams of each owner of a group, and the groups, each with its channel, that have an owner."""
        keys = {group: lease_key(stream_key(group.channel, self._prefix), group.group) for group in groups}
        clocks = await clocks_of(self._nodes, keys.values())
        replies = await ask_each(self._nodes, {key: [partial(_ask_lease, key=key)] for key in keys.values()})
        owned: dict[tuple[str, str], list[OwnedStream]] = {}
        for group, key in keys.items():
            owner, until, ttl = replies[key][0]
            if owner and int(until or 0) > clocks[key]:
                beat_ms = max(0, clocks[key] - int(until) + int(ttl or 0))
                stream = OwnedStream(channel=group.channel, beat_ms=beat_ms)
                owned.setdefault((group.group, owner.decode(errors="backslashreplace")), []).append(stream)
        read = {(stream.channel, group) for (group, _), streams in owned.items() for stream in streams}
        return owned, read

    async def _stranded(self, groups: Sequence[GroupState], owners: set[tuple[str, str]]) -> list[StrandedConsumer]:
        asks: dict[str, list[Ask]] = {}
        for group in groups:
            key = stream_key(group.channel, self._prefix)
            asks.setdefault(key, []).append(partial(_ask_consumers, key=key, group=group.group))
        replies = {key: iter(found) for key, found in (await ask_each(self._nodes, asks, missing=_MISSING)).items()}
        found = [
            StrandedConsumer(
                channel=group.channel,
                group=group.group,
                consumer=info["name"].decode(errors="backslashreplace"),
                pending=info["pending"],
                idle_ms=info["idle"],
            )
            for group in groups
            for info in next(replies[stream_key(group.channel, self._prefix)]) or ()
            if info["pending"] and _is_gone(info, is_read=(group.channel, group.group) in owners)
        ]
        return sorted(found, key=lambda one: (-one.pending, one.channel, one.group))


def _instance(group: str, owner: str, streams: Iterable[OwnedStream], *, is_member: bool) -> Instance:
    name, _, digest = owner.partition(SUBSCRIPTIONS)
    return Instance(group=group, name=name, subscriptions=digest, streams=tuple(streams), is_member=is_member)


def _is_gone(info: Mapping[str, Any], *, is_read: bool) -> bool:
    """Return whether nobody reads as a consumer: ours needs a lease, of any other only its reads are known."""
    return not is_read if info["name"] == CONSUMER.encode() else info["idle"] > IDLE_MS


def _ask_members(pipe: Pipeline, *, key: str, now_ms: int) -> Any:
    return pipe.zrangebyscore(key, f"({now_ms}", "+inf")


def _ask_lease(pipe: Pipeline, *, key: str) -> Any:
    return pipe.hmget(key, ["owner", "until", "ttl"])


def _ask_consumers(pipe: Pipeline, *, key: str, group: str) -> Any:
    return pipe.xinfo_consumers(key, group)
