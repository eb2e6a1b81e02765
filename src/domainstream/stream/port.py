"""What the subscriber needs from streams, in types and words.

`reader/`, `dead_letters.py` and `maintenance/` implement these ports on Redis, `memory/` in memory. Both pass
`domainstream.testing.stream_contract` and `dead_letter_contract`.

In a **turn** the owner of a stream's lease acknowledges, renews the lease and reads, all in one step on the server;
whoever is not the owner any more learns it there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Final, Literal, Protocol

from msgspec import Struct

from domainstream.stream.lease import Lease
from domainstream.validation import positive_fields, raise_problems

DATA: Final = b"data"
"""The field of an entry that has the event."""

Fields = tuple[tuple[bytes, bytes], ...]
"""Names and values of fields."""


class Delivery(Struct, frozen=True, gc=False):
    """One stream entry as a consumer group delivered it."""

    channel: str
    """The channel's value, without any prefix of the key."""

    entry_id: str
    """`milliseconds-number` on the server's clock."""

    data: bytes | None
    """The entry's field `data`, which should be a CloudEvent as JSON; None when the entry has no such field."""

    deliveries: int = 1
    """How often the group has delivered it, this time included."""

    other: Fields = ()
    """The names and values of the entry's other fields, in their order; those of a foreign producer."""

    @classmethod
    def of_fields(
        cls, channel: str, entry_id: str, fields: Mapping[bytes, bytes] | None, deliveries: int = 1
    ) -> "Delivery":
        """Return the delivery of an entry with these fields; None for an entry that has been deleted."""
        fields = fields or {}
        other = tuple((name, value) for name, value in fields.items() if name != DATA)
        return cls(channel, entry_id, fields.get(DATA), deliveries, other)

    @property
    def timestamp_ms(self) -> int:
        """When the entry was added, in milliseconds since 1970, on the server's clock."""
        return int(self.entry_id.partition("-")[0])


class DeadLetter(Struct, frozen=True, gc=False):
    """A delivery that can never become a job, and why."""

    delivery: Delivery
    """What was delivered."""

    error: str
    """The name of the error's class, as `InvalidEnvelopeError`."""

    reason: str
    """The error's message; it never quotes the payload."""


class StoredDeadLetter(Struct, frozen=True, gc=False):
    """A dead letter as it is stored."""

    dead_letter_id: str
    """Its own id; not that of the entry, which is `dead_letter.delivery.entry_id`."""

    group: str
    """The consumer group that could not make a job of the entry."""

    dead_letter: DeadLetter
    """The entry, and why it is dead. Of its other fields it has what was kept."""

    left_out: int = 0
    """How many bytes of the entry's other fields were not kept, because they were more than `MAX_KEPT_BYTES`."""


MAX_KEPT_BYTES: Final = 65_536
"""How many bytes of an entry's other fields a dead letter keeps at most, names and values together."""

MAX_KEPT_FIELDS: Final = 64
"""How many of an entry's other fields a dead letter keeps at most."""


def kept_fields(other: Fields) -> tuple[Fields, int]:
    """Return the fields that a dead letter keeps, the last one perhaps cut, and how many bytes it leaves out."""
    kept: list[tuple[bytes, bytes]] = []
    room = MAX_KEPT_BYTES
    for name, value in other:
        if len(name) > room or len(kept) == MAX_KEPT_FIELDS:
            break
        kept.append((name, value[: room - len(name)]))
        room -= len(name) + len(kept[-1][1])
    whole, left = (sum(len(name) + len(value) for name, value in fields) for fields in (other, kept))
    return tuple(kept), whole - left


class RedriveResult(Struct, frozen=True, gc=False):
    """What a redrive did."""

    entry_ids: tuple[str, ...]
    """The new entries, in the order of their dead letters, which have been removed."""

    without_data: tuple[str, ...]
    """The ids of dead letters that cannot be redriven, since their entry had no field `data`; they stay."""


class Loss(Struct, frozen=True, gc=False):
    """Entries that were removed from a stream before a consumer group could settle them.

    An entry that was delivered, but removed before it was acknowledged, is a loss of its own: then `after` and `before`
    both are its id.
    """

    channel: str
    """The channel's value."""

    group: str
    """The consumer group that will never get them."""

    count: int
    """How many, exactly."""

    after: str
    """The id of the last entry before the lost ones that the group knows; `0-0` for the stream's beginning."""

    before: str
    """The id of the first entry after the lost ones; empty when the stream holds none."""

    before_group: bool = False
    """Whether they were removed before the group's first read. Other groups may have settled them, so it is for you to
    say whether this group should have had them.
    """


@dataclass(frozen=True, kw_only=True, slots=True)
class ReaderSettings:
    """How a `StreamReader` reads: the limits of a read, and when abandoned entries are taken over."""

    lease: timedelta = timedelta(seconds=10)
    """How long a channel is left to an instance that does not renew its lease, because it was killed or is paused.
    Defaults to 10 seconds.
    """

    claim_after: timedelta = timedelta(seconds=30)
    """Idle time after which what consumers of other names left pending is taken over; looked at every half of it, when
    refused entries are tried again too. Defaults to 30 seconds.
    """

    max_entries: int = 1_000
    """How many entries of a channel are read at a time, at most. All channels together hold at most eight times as many
    that are not handed over yet, and 16 more each. Defaults to 1,000.
    """

    max_bytes: int = 4 * 1024 * 1024
    """The same in bytes of data; a single larger entry is still read. Defaults to 4 MiB."""

    def __post_init__(self) -> None:
        """Raise `ConfigurationError` for limits that are not positive."""
        raise_problems("ReaderSettings", positive_fields(self))


Read = Literal["new", "pending", "retry", "claim", "look", "renew", "release"]
"""What a turn does: read new entries; look at pending ones, without delivering them again, or with that; take over what
consumers of other names have left pending; look at all entries, whatever the group has done with them; only keep the
lease; give it up.
"""


NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


class Turn(Struct, frozen=True):
    """What a turn read."""

    deliveries: Sequence[Delivery]
    """The entries, in the stream's order."""

    deleted: Sequence[str] = ()
    """The ids of pending entries that had been deleted; they are acknowledged now."""

    loss: Loss | None = None
    """What the group lost before these entries."""


class WakeUps(Protocol):
    """Says which streams may have new entries. For one event loop, and one task that waits."""

    async def run(self) -> None:
        """Listen until cancelled; a server that does not answer is tried again and again."""
        ...

    async def wait(self, seconds: float) -> set[str]:
        """Wait until streams have changed, and return their channels; an empty set after so many `seconds`.

        What is added to them after this has returned is part of the next call's answer, so read them then.
        """
        ...


class StreamReader(Protocol):
    """Reads the channels of one consumer group, each for as long as this instance has its lease.

    Safe for several tasks of one event loop, one for each channel. Raises `ServerUnavailableError`,
    `ServerRefusedError` or `ServerOutOfMemoryError`; after any of them the lease has to be taken anew, because entries
    may have been delivered that nobody has seen.
    """

    async def take(self, channel: str, *, least_epoch: int = 0) -> Lease:
        """Take the lease, for an epoch of at least this number; make the group at its stream's beginning if need be.

        Raises `LeaseHeldError`.
        """
        ...

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
        """Acknowledge entries, then read at most `count` that follow the id `after`; for `new`, the last one read.

        With the acknowledgement it is noted which entry each queue has `reached`, where that has changed.
        Raises `LeaseLostError`.
        """
        ...

    async def store_dead(self, channel: str, lease: Lease, letters: Mapping[str, DeadLetter]) -> None:
        """Store the dead letter of each entry, by its id, and acknowledge it; a repeat stores it once.

        Of the entry's other fields it keeps what `kept_fields` returns. Raises `LeaseLostError`.
        """
        ...


class DeadLetterRedrive(Protocol):
    """Where people look at dead letters, and send them again once the cause is fixed.

    For one task. Raises the same errors as `StreamReader`.
    """

    async def page(self, channel: str, *, after: str = "", count: int = 100) -> Sequence[StoredDeadLetter]:
        """Return up to `count` dead letters of a channel, the oldest first, after the one with the id `after`."""
        ...

    async def redrive(self, channel: str, *, dead_letter_id: str | None = None, count: int = 100) -> RedriveResult:
        """Append the data of the oldest dead letters, or of one, to the channel's stream, and remove these letters.

        Other fields of the entry come back too, unless some of them were left out.
        Every group of the stream gets the new entry, also those that had no trouble with the old one. A dead letter is
        removed and its entry added in one step on the server. One that does not exist (any more) is skipped.
        """
        ...

    async def close(self) -> None:
        """Release all connections. Closing twice does nothing."""
        ...


class MaintenanceTask(Protocol):
    """Regular work beside reading, done by one instance of a group at a time.

    For one task. Raises the same errors as `StreamReader`.
    """

    every: timedelta
    """The pause between two rounds."""

    async def run_once(self) -> None:
        """Run one round; do nothing while another instance runs it."""
        ...

    async def close(self) -> None:
        """Release all connections. Closing twice does nothing."""
        ...
