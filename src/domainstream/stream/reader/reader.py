"""Reads streams in the order in which several instances hand their entries over. Implements `StreamReader`."""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from time import monotonic
from typing import Any, Final

from redis.exceptions import NoScriptError, ResponseError

from domainstream.errors import ServerRefusedError
from domainstream.redis.call_lane import CallLane, CallLanes, OtherConnectionError
from domainstream.redis.errors import NoReplyError, code_of, server_error
from domainstream.redis.keys import dead_letter_key, stream_key
from domainstream.redis.link import Reply
from domainstream.redis.topology import RedisTopology
from domainstream.stream.dead_letters import dead_letter_fields
from domainstream.stream.lease import Lease, LeaseHeldError, LeaseLostError
from domainstream.stream.port import NOTHING, DeadLetter, Read, ReaderSettings, Turn
from domainstream.stream.reader.batch_size import FIRST_COUNT
from domainstream.stream.reader.turns import Call, StreamTurns
from domainstream.telemetry import Signal, emit
from domainstream.validation import plain_name, raise_problems

DEFAULTS: Final = ReaderSettings()

_OVER: Final = frozenset({"FENCED", "REWOUND", "MISSED", "NOGROUP"})
"""What the scripts answer when the epoch is over."""

_READ_INSIDE: Final = 60.0
"""Seconds for which a server that refuses MULTI, because its memory is full, is not asked again."""


class RedisStreamReader:
    """An `StreamReader` on Redis or Valkey: a single server, behind sentinels, or a cluster."""

    def __init__(
        self,
        lanes: CallLanes,
        channels: Iterable[str],
        *,
        group: str,
        instance: str,
        prefix: str = "",
        settings: ReaderSettings = DEFAULTS,
    ) -> None:
        """Read `channels` over `lanes`, which the caller closes, as `instance`, which no other has for its name.

        Raises `ConfigurationError` for an empty `group`, or without channels.
        """
        names = [plain_name(channel) for channel in channels]
        raise_problems(
            "The reader",
            [
                None if plain_name(group).strip() else "the consumer group's name is empty; use group='domain-events'",
                None if names else "there is no channel to read; name at least one",
            ],
        )
        self.channels = {stream_key(name, prefix): name for name in names}
        """The channel of each stream's key."""
        self._lanes = lanes
        self._turns = {
            name: StreamTurns(
                stream=key,
                channel=name,
                group=plain_name(group),
                instance=plain_name(instance),
                ttl_ms=_milliseconds(settings.lease),
                claim_after_ms=_milliseconds(settings.claim_after),
            )
            for key, name in self.channels.items()
        }
        self._renew_after = settings.lease.total_seconds() / 3
        self._renewed: dict[str, float] = {}
        self._known: set[str] = set()
        self._has_script: set[str] = set()
        self._reads_inside: dict[str, float] = {}
        self._owned = AsyncExitStack()

    @classmethod
    def from_url(
        cls, url: str | RedisTopology, channels: Iterable[str], *, group: str, **options: Any
    ) -> "RedisStreamReader":
        """Return a reader that owns its connections; the constructor says what the rest means."""
        lanes = CallLanes(url)
        reader = cls(lanes, channels, group=group, **options)
        reader._owned.push_async_callback(lanes.close)
        return reader

    async def take(self, channel: str, *, least_epoch: int = 0) -> Lease:
        """Take the lease of a channel; see `StreamReader.take`."""
        turns, token = self._turns[channel], secrets.token_hex(4)
        for rotate in (False, True):
            began = monotonic()
            script, call = turns.take(token, least_epoch=least_epoch, rotate=rotate)
            (reply,), connection = await self._lane(turns).eval(script, [call])
            if code_of(reply) != "NOGROUP":
                break
        if code_of(reply) == "HELD":
            _, milliseconds, owner = str(reply).split(" ", 2)
            raise LeaseHeldError(owner, int(milliseconds) / 1000)
        if code_of(reply) == "WRONGTYPE":
            raise ServerRefusedError(
                f"the key of channel {channel} is not a stream; choose another prefix, or delete that key"
            )
        lease = turns.lease_of(self._accepted(reply, turns), connection)
        if rotate and channel in self._known:
            emit(Signal.STREAM_GROUP_RECREATED, group=turns.group, channel=channel)
        self._known.add(channel)
        self._renewed[channel] = began
        self._has_script.discard(channel)
        return lease

    async def turn(
        self,
        channel: str,
        lease: Lease,
        read: Read,
        acknowledge: Sequence[str] = (),
        *,
        reached: Mapping[str, str] = NOTHING,
        after: str = "0-0",
        count: int = 1,
    ) -> Turn:
        """Take a turn at a channel; see `StreamReader.turn`."""
        turns = self._turns[channel]
        now = monotonic()
        # Not at every turn: each write is one for the replicas, too.
        renew = read == "renew" or now - self._renewed[channel] >= self._renew_after
        if read == "new":
            turn = await self._read_new(turns, lease, acknowledge, reached, after=after, count=count, renew=renew)
        else:
            options: dict[str, Any] = {"reached": reached, "after": after, "count": count, "renew": renew}
            call = turns.turn(lease.epoch, read, acknowledge, **options)
            turn = turns.turn_of(await self._eval(turns, lease, call, entries=count))
        if renew:
            self._renewed[channel] = now
        return turn

    async def store_dead(self, channel: str, lease: Lease, letters: Mapping[str, DeadLetter]) -> None:
        """Store dead letters of a channel; see `StreamReader.store_dead`."""
        turns = self._turns[channel]
        fields = {entry_id: dead_letter_fields(letter, turns.group) for entry_id, letter in letters.items()}
        key = dead_letter_key(turns.stream, is_cluster=self._lanes.topology.is_cluster)
        await self._eval(turns, lease, turns.store_dead(lease.epoch, key, fields))

    async def close(self) -> None:
        """Close the connections if it owns them. Closing twice does nothing."""
        await self._owned.aclose()

    async def _read_new(
        self,
        turns: StreamTurns,
        lease: Lease,
        acknowledge: Sequence[str],
        reached: Mapping[str, str],
        *,
        after: str,
        count: int,
        renew: bool,
    ) -> Turn:
        # Few entries are read by the script itself, which costs the server 4 µs for each, and saves three replies. So
        # are the first ones: in a transaction, a server without the script would read although it has not checked.
        is_transaction = count > FIRST_COUNT and turns.channel in self._has_script
        if is_transaction and self._reads_inside.get(turns.channel, 0) < monotonic():
            commands = turns.new(lease.epoch, after, acknowledge, reached=reached, count=count, renew=renew)
            try:
                lane = self._lane(turns)
                replies, _ = await lane.transact(commands, connection=lease.connection, entries=count)
            except OtherConnectionError as error:
                raise LeaseLostError(f"{turns.channel}: {error}") from None
            executed = replies[-1]
            if isinstance(executed, NoReplyError):
                raise server_error(executed, self._lanes.topology.place)
            if isinstance(executed, list):
                for result in executed:
                    self._accepted(result, turns)
                return turns.new_turn_of(replies)
            if isinstance(replies[0], Exception):  # the commands behind it were run, but not as one
                self._reads_inside[turns.channel] = monotonic() + _READ_INSIDE
                raise LeaseLostError(f"{turns.channel}: the server does not begin a transaction: {replies[0]}")
            # Nothing was run: the slot moves, and a script follows it, or says why it cannot run.
        call = turns.turn(lease.epoch, "read", acknowledge, reached=reached, after=after, count=count, renew=renew)
        turn = turns.turn_of(await self._eval(turns, lease, call, entries=count))
        self._has_script.add(turns.channel)
        return turn

    def _lane(self, turns: StreamTurns) -> CallLane:
        return self._lanes.of(turns.stream)

    async def _eval(self, turns: StreamTurns, lease: Lease, call: Call, *, entries: int = 0) -> Any:
        try:
            lane = self._lane(turns)
            (reply,), _ = await lane.eval(call.script, [call.arguments], connection=lease.connection, entries=entries)
        except OtherConnectionError as error:
            raise LeaseLostError(f"{turns.channel}: {error}") from None
        return self._accepted(reply, turns)

    def _accepted(self, reply: Reply, turns: StreamTurns) -> Any:
        """Return a reply; raise it if it is an error."""
        if isinstance(reply, NoScriptError) or (isinstance(reply, ResponseError) and code_of(reply) in _OVER):
            raise LeaseLostError(f"{turns.channel}: {reply}")
        if isinstance(reply, Exception):
            raise server_error(reply, self._lanes.topology.place) from None
        return reply


def _milliseconds(duration: timedelta) -> int:
    return max(1, round(duration.total_seconds() * 1000))
