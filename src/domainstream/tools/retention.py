"""What streams keep and for how long, what groups have lost, and what they would lose next."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from msgspec import Struct

from domainstream.publisher import Retention
from domainstream.redis.asking import clocks_of
from domainstream.redis.keys import stream_key
from domainstream.stream import GroupState, StreamState
from domainstream.stream.state import ms_of
from domainstream.tools.common.server import RedisServer

COUNTED: Final = 100_000
"""Up to this many unread entries are counted where the server does not know how many there are."""

LEAST_MS: Final = 5_000
"""Two looks that are closer together say little about a rate."""

LONGEST_MS: Final = 600_000
"""Two looks that are further apart say little about the current rate."""


HALF: Final = 0.5
"""The part of a limit from which on a group can be near a loss."""

NEAR_MS: Final = 3_600_000
"""A group that may lose an entry within this time, in milliseconds, is near a loss."""


class Look(Struct, frozen=True, kw_only=True):
    """How many entries a stream had ever got at one moment."""

    added: int
    """How many entries were ever added."""

    at_ms: int
    """When, by the clock of its server, in milliseconds since 1970."""


class GroupRetention(Struct, frozen=True, kw_only=True):
    """How near a group is to losing entries."""

    state: GroupState
    """The group."""

    lost_in_ms: int | None
    """In how many milliseconds its oldest entry may be removed, if the group settles nothing; 0 for at any moment, None
    if that does not come about, or is not known.
    """

    is_near: bool
    """Whether that is within `NEAR_MS`, and at least half of a limit is used, however short that is."""


class ChannelRetention(Struct, frozen=True, kw_only=True):
    """What a stream keeps."""

    stream: StreamState
    """The stream."""

    now_ms: int
    """The clock of its server, in milliseconds since 1970."""

    rate: float | None
    """Entries that are added a second; None for unknown."""

    is_current: bool
    """Whether the rate is that between two looks, instead of the average of what is kept."""

    groups: list[GroupRetention]
    """Who reads it."""

    @property
    def first_age_ms(self) -> int | None:
        """How long ago its first entry was added, in milliseconds; None if it is empty."""
        return max(0, self.now_ms - ms_of(self.stream.first_id)) if self.stream.first_id else None

    @property
    def last_age_ms(self) -> int | None:
        """How long ago the last entry was added, in milliseconds; None if none ever was."""
        return max(0, self.now_ms - ms_of(self.stream.last_id)) if ms_of(self.stream.last_id) else None

    @property
    def removed(self) -> int | None:
        """How many entries were removed, read or not; None where the server does not count what is added."""
        return None if self.stream.added is None else max(0, self.stream.added - self.stream.length)

    @property
    def lost(self) -> int:
        """How many entries were removed before its groups had read them."""
        return sum(group.state.lost for group in self.groups)


def limits_of(*, max_unread_age: timedelta | None, max_length: int | None) -> Retention:
    """Return a retention that has these limits for what is unread; None for no limit."""
    default = Retention()
    # What is read may be kept no longer than what is not.
    ages = [age for age in (default.max_age, max_unread_age) if age is not None]
    return Retention(max_age=min(ages, default=None), max_unread_age=max_unread_age, max_length=max_length)


async def read_retention(server: RedisServer, limits: Retention, before: Mapping[str, Look]) -> list[ChannelRetention]:
    """Return what each stream keeps, in few round trips. Raises `ServerError`.

    `limits` are those of the publishers, which the server does not know; `before` is an earlier look at each stream.
    """
    streams = await server.streams.streams(await server.streams.channels())
    states: dict[str, list[GroupState]] = {}
    for state in await server.groups.groups_of(streams, count_at_most=COUNTED):
        states.setdefault(state.channel, []).append(state)
    keys = {stream.channel: stream_key(stream.channel, server.prefix) for stream in streams}
    clocks = await clocks_of(server.nodes, keys.values())
    found: list[ChannelRetention] = []
    for stream in streams:
        now_ms = clocks[keys[stream.channel]]
        rate, is_current = _rate(stream, before.get(stream.channel), now_ms)
        groups = [_group(state, limits, rate) for state in states.get(stream.channel, ())]
        found.append(ChannelRetention(stream=stream, now_ms=now_ms, rate=rate, is_current=is_current, groups=groups))
    return found


def lost_in_ms(state: GroupState, limits: Retention, rate: float | None) -> int | None:
    """Return in how many milliseconds a group may lose its oldest entry; see `GroupRetention`."""
    if state.oldest_ms is None:
        return None
    ends: list[float] = []
    if limits.max_unread_age is not None and limits.max_age is not None:
        ends.append(limits.max_unread_age / timedelta(milliseconds=1) - state.oldest_ms)
    if limits.max_length is not None:
        # Settled entries between pending ones count towards the length too, so that it may be a little earlier.
        left = limits.max_length - state.lag
        if left <= 0 or rate:
            ends.append(left / rate * 1000 if rate and left > 0 else 0)
    return round(max(0.0, min(ends))) if ends else None


def used_share(state: GroupState, limits: Retention) -> float:
    """Return which part of the limit that it is nearest to a group has used; above 1 beyond it, 0 without limits."""
    parts = [0.0]
    if limits.max_unread_age is not None and limits.max_age is not None:
        parts.append((state.oldest_ms or 0) / (limits.max_unread_age / timedelta(milliseconds=1)))
    if limits.max_length is not None:
        parts.append(state.lag / limits.max_length)
    return max(parts)


def _group(state: GroupState, limits: Retention, rate: float | None) -> GroupRetention:
    left_ms = lost_in_ms(state, limits, rate)
    is_near = left_ms is not None and left_ms <= NEAR_MS and used_share(state, limits) >= HALF
    return GroupRetention(state=state, lost_in_ms=left_ms, is_near=is_near)


def _rate(stream: StreamState, before: Look | None, now_ms: int) -> tuple[float | None, bool]:
    """Return how many entries are added a second, and whether that is current."""
    if before is not None and stream.added is not None:
        took = now_ms - before.at_ms
        if LEAST_MS <= took <= LONGEST_MS and stream.added >= before.added:
            return (stream.added - before.added) / took * 1000, True
    if not stream.first_id:
        return None, False
    return stream.length / max(1, now_ms - ms_of(stream.first_id)) * 1000, False
