"""Turns at a stream that several instances read in order.

`turn.lua` and `store_dead.lua` do the work; their headers say how.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from msgspec import Struct

from domainstream.redis.keys import lease_key
from domainstream.redis.link import Arguments
from domainstream.redis.scripts import Script, lua_text
from domainstream.stream.lease import Lease
from domainstream.stream.port import DATA, NOTHING, Delivery, Loss, Read, Turn
from domainstream.stream.reader.batch_size import FIRST_COUNT

_HERE: Final = "domainstream.stream.reader"

TURN: Final = Script.of(
    lua_text(
        _HERE,
        "turn",
        group_state=lua_text(_HERE, "group_state"),
        entry_ids=lua_text("domainstream.stream", "entry_ids"),
    )
)

STORE_DEAD: Final = Script.of(lua_text(_HERE, "store_dead"))

CONSUMER: Final = "domainstream"
"""The name in the group under which every owner of a lease reads."""


Step = Read | Literal["read"]
"""What the script does in a turn; it reads new entries by `read`, where a transaction cannot."""


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

    def take(self, token: str, *, least_epoch: int = 0, rotate: bool = False) -> Arguments:
        """Return the call that takes the lease; `rotate` makes the group if there is none, and the token anew."""
        return self._call(0, least_epoch, "rotate" if rotate else "take", token, 0, 0)

    def new(
        self,
        epoch: int,
        seen: str,
        acknowledge: Sequence[str] = (),
        *,
        reached: Mapping[str, str] = NOTHING,
        count: int = FIRST_COUNT,
    ) -> Sequence[Arguments]:
        """Return the commands of a turn that acknowledges and then reads new entries, after the last id `seen`.

        They are one transaction. The script must be on the server already, as it is after a take: without it, the
        entries are read anyway, and must not be used.
        """
        check = (*self._call(epoch, 0, "new", seen, count, 0, reached), *acknowledge)
        read = ("XREADGROUP", "GROUP", self.group, CONSUMER, "COUNT", count, "STREAMS", self.stream, ">")
        return ("MULTI",), ("EVALSHA", TURN.sha, *check), read, ("EXEC",)

    def turn(
        self,
        epoch: int,
        read: Step,
        acknowledge: Sequence[str] = (),
        *,
        reached: Mapping[str, str] = NOTHING,
        after: str = "0-0",
        count: int = FIRST_COUNT,
        idle_ms: int = 0,
    ) -> Arguments:
        """Return the call of a turn: it acknowledges, then reads at most `count` entries, new ones by `read`."""
        return [*self._call(epoch, 0, read, after, count, idle_ms, reached), *acknowledge]

    def store_dead(self, epoch: int, key: str, letters: Mapping[str, Sequence[str | bytes]]) -> Arguments:
        """Return the call that stores dead letters under `key`: for each entry's id, the fields of its letter."""
        call: list[str | bytes | int] = [3, self.stream, key, self._lease, self.group, self.instance, epoch]
        for entry_id, fields in letters.items():
            call += (entry_id, len(fields), *fields)
        return call

    def lease_of(self, reply: Any, connection: int = 0) -> Lease:
        """Return the lease that a call of `take` returned over this connection."""
        epoch, server_ms, *rest = (part.decode() for part in reply)
        last_delivered, owner, epoch_before, token, token_before, first_pending, *reached = rest
        return Lease(
            epoch=int(epoch),
            server_ms=int(server_ms),
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
        _, entries, times, deleted, loss = reply
        deliveries = [self._delivery(entry, number) for entry, number in zip(entries, times, strict=True)]
        return Turn(deliveries, [entry_id.decode() for entry_id in deleted], self._loss(loss))

    def new_turn_of(self, replies: Sequence[Any]) -> Turn:
        """Return what the commands of `new` returned. Raises the error that the turn, or else the read, failed with."""
        *_, executed = replies
        results = executed if isinstance(executed, list) else [executed]
        for result in results:
            if isinstance(result, Exception):
                raise result
        (*_, loss), read = results
        entries = read[0][1] if read else ()
        return Turn([self._delivery(entry, 1) for entry in entries], loss=self._loss(loss))

    def _delivery(self, entry: tuple[bytes, list[bytes]], deliveries: int) -> Delivery:
        """Return an entry as the server sends it."""
        entry_id, fields = entry
        if len(fields) == 2 and fields[0] == DATA:  # the fast path: all our entries have this one field
            return Delivery(self.channel, entry_id.decode(), fields[1], deliveries)
        named = dict(zip(fields[::2], fields[1::2], strict=True))
        return Delivery.of_fields(self.channel, entry_id.decode(), named, deliveries)

    @property
    def _lease(self) -> str:
        return lease_key(self.stream, self.group)

    def _call(
        self,
        epoch: int,
        least: int,
        what: str,
        after: str,
        count: int,
        idle_ms: int,
        reached: Mapping[str, str] = NOTHING,
    ) -> Sequence[str | int]:
        return (
            2,
            self.stream,
            self._lease,
            self.group,
            self.instance,
            epoch,
            self.ttl_ms,
            least,
            what,
            after,
            count,
            idle_ms,
            len(reached),
            *(part for pair in reached.items() for part in pair),
        )

    def _loss(self, loss: Sequence[Any]) -> Loss | None:
        if not loss:
            return None
        count, after, before, before_group = loss
        return Loss(self.channel, self.group, count, after.decode(), before.decode(), bool(before_group))
