"""Turns at a stream that several instances read in order.

`take.lua`, `turn.lua`, `recover.lua` and `store_dead.lua` do the work; their headers say how.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

from msgspec import Struct

from domainstream.redis.keys import lease_key
from domainstream.redis.link import Arguments
from domainstream.redis.scripts import Script, lua_text
from domainstream.stream.lease import Lease
from domainstream.stream.port import DATA, NOTHING, Delivery, Loss, Read, Turn
from domainstream.stream.reader.batch_size import FIRST_COUNT


def _script(name: str) -> Script:
    here = "domainstream.stream.reader"
    parts = {part: lua_text(here, part) for part in ("owner", "group_state", "losses")}
    return Script.of(lua_text(here, name, **parts, entry_ids=lua_text("domainstream.stream", "entry_ids")))


TAKE: Final = _script("take")
TURN: Final = _script("turn")
RECOVER: Final = _script("recover")
STORE_DEAD: Final = _script("store_dead")

CONSUMER: Final = "domainstream"
"""The name in the group under which every owner of a lease reads."""

Step = Read | Literal["read"]
"""What a script does in a turn; it reads new entries by `read`, where a transaction cannot."""

_RECOVERS: Final[frozenset[Step]] = frozenset({"pending", "retry", "claim", "look"})


class Call(NamedTuple):
    """A call of a script."""

    script: Script
    """The script."""

    arguments: Arguments
    """What follows it."""


class StreamTurns(Struct, frozen=True, kw_only=True):
    """Makes the calls of one instance for one stream, and reads the replies."""

    stream: str
    """The stream's key."""

    channel: str
    """The channel's value."""

    group: str
    """The consumer group."""

    instance: str
    """The name of this instance, which no other has."""

    ttl_ms: int = 10_000
    """How long a lease lasts after its last renewal, in milliseconds."""

    claim_after_ms: int = 0
    """How long entries of consumers of other names must have been idle before they are taken over."""

    def take(self, token: str, *, least_epoch: int = 0, rotate: bool = False) -> Call:
        """Return the call that takes the lease; `rotate` makes the group if there is none, and the token anew."""
        keys = (2, self.stream, self._lease)
        return Call(TAKE, (*keys, self.group, self.instance, self.ttl_ms, least_epoch, token, int(rotate)))

    def new(
        self,
        epoch: int,
        seen: str,
        acknowledge: Sequence[str] = (),
        *,
        reached: Mapping[str, str] = NOTHING,
        count: int = FIRST_COUNT,
        renew: bool = True,
    ) -> Sequence[Arguments]:
        """Return the commands of a turn that acknowledges and then reads new entries, after the last id `seen`.

        They are one transaction. The script must be on the server already, as it is after a turn that read few: without
        it, the entries are read anyway, and must not be used.
        """
        check = self.turn(epoch, "new", acknowledge, reached=reached, after=seen, renew=renew)
        read = ("XREADGROUP", "GROUP", self.group, CONSUMER, "COUNT", count, "STREAMS", self.stream, ">")
        return ("MULTI",), ("EVALSHA", check.script.sha, *check.arguments), read, ("EXEC",)

    def turn(
        self,
        epoch: int,
        step: Step,
        acknowledge: Sequence[str] = (),
        *,
        reached: Mapping[str, str] = NOTHING,
        after: str = "0-0",
        count: int = FIRST_COUNT,
        renew: bool = True,
    ) -> Call:
        """Return the call of a turn: it acknowledges, then reads at most `count` entries, new ones by `read`."""
        call: list[str | int] = [2, self.stream, self._lease, self.group, self.instance, epoch]
        call += (self.ttl_ms if renew else 0, len(reached))
        for pair in reached.items():
            call += pair
        call += (len(acknowledge), *acknowledge, step, after, count, self.claim_after_ms)
        return Call(RECOVER if step in _RECOVERS else TURN, call)

    def store_dead(self, epoch: int, key: str, letters: Mapping[str, Sequence[str | bytes]]) -> Call:
        """Return the call that stores dead letters under `key`: for each entry's id, the fields of its letter."""
        call: list[str | bytes | int] = [3, self.stream, key, self._lease, self.group, self.instance, epoch]
        for entry_id, fields in letters.items():
            call += (entry_id, len(fields), *fields)
        return Call(STORE_DEAD, call)

    def lease_of(self, reply: Any, connection: int = 0) -> Lease:
        """Return the lease that a call of `take` returned over this connection."""
        epoch, last_delivered, owner, epoch_before, *rest = (part.decode() for part in reply)
        token, token_before, first_pending, *reached = rest
        return Lease(
            epoch=int(epoch),
            last_delivered=last_delivered,
            owner_before=owner,
            is_resumed=owner == self.instance,
            epoch_before=int(epoch_before),
            token=token,
            token_before=token_before,
            first_pending=first_pending,
            reached=dict(zip(reached[::2], reached[1::2], strict=True)),
            connection=connection,
        )

    def turn_of(self, reply: Any) -> Turn:
        """Return what a call of `turn` returned."""
        entries, loss, *recovered = reply
        if not recovered:
            return Turn([self._delivery(entry) for entry in entries], loss=self._loss(loss))
        times, deleted = recovered
        deliveries = [self._delivery(entry, number) for entry, number in zip(entries, times, strict=True)]
        return Turn(deliveries, [entry_id.decode() for entry_id in deleted])

    def new_turn_of(self, replies: Sequence[Any]) -> Turn:
        """Return what the commands of `new` returned. Raises the error that the turn, or else the read, failed with."""
        *_, executed = replies
        results = executed if isinstance(executed, list) else [executed]
        for result in results:
            if isinstance(result, Exception):
                raise result
        (_, loss), read = results
        entries = read[0][1] if read else ()
        return Turn([self._delivery(entry) for entry in entries], loss=self._loss(loss))

    def _delivery(self, entry: tuple[bytes, list[bytes]], deliveries: int = 1) -> Delivery:
        """Return an entry as the server sends it."""
        entry_id, fields = entry
        if len(fields) == 2 and fields[0] == DATA:  # the fast path: all our entries have this one field
            return Delivery(self.channel, entry_id.decode(), fields[1], deliveries)
        named = dict(zip(fields[::2], fields[1::2], strict=True))
        return Delivery.of_fields(self.channel, entry_id.decode(), named, deliveries)

    @property
    def _lease(self) -> str:
        return lease_key(self.stream, self.group)

    def _loss(self, loss: Sequence[Any]) -> Loss | None:
        if not loss:
            return None
        count, after, before, before_group = loss
        return Loss(self.channel, self.group, count, after.decode(), before.decode(), bool(before_group))
