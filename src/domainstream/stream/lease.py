"""What the subscriber needs from streams that several instances read in order: a lease, turns, and what ends them.

An **owner** has a stream's **lease**. Each time it is taken begins an **epoch**. In a **turn** the owner acknowledges,
renews the lease and reads, all in one step on the server; whoever is not the owner any more learns it there.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

from msgspec import Struct

from domainstream.errors import DomainStreamError
from domainstream.stream.port import DeadLetter, Delivery, Loss, ReaderSettings

Read = Literal["new", "pending", "retry", "claim", "renew", "release"]
"""What a turn does: read new entries; look at pending ones, without delivering them again, or with that; take over what
consumers of other names have left pending; only keep the lease; give it up.
"""


class LeaseHeldError(DomainStreamError):
    """Another instance has the lease."""

    def __init__(self, owner: str, seconds: float) -> None:
        self.owner = owner
        """The instance that has it."""
        self.seconds = seconds
        """How long it has it unless it renews it."""
        super().__init__(f"{owner} has the lease for another {seconds:g} s")


class LeaseLostError(DomainStreamError):
    """The epoch is over: what was read in it must not be handed over any more. Take the lease anew."""


class Lease(Struct, frozen=True):
    """A stream's lease as one instance took it."""

    epoch: int
    """The number of this take; later takes have higher ones."""

    server_ms: int
    """The server's clock then, in milliseconds since 1970."""

    last_delivered: str
    """The id up to which the group had read then."""

    owner_before: str
    """The instance that had the lease last; empty if it was given up, or never taken."""

    epoch_before: int
    """The epoch before this one; 0 if there was none."""

    token: str
    """What distinguishes this stream from others of its name, and from itself before its group was made anew."""

    token_before: str
    """The token before this take; empty if there was none."""

    connection: int = 0
    """The number of the connection over which it was taken: turns over another one are not made."""


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
        """Wait until streams have changed, and return their keys; an empty set after so many `seconds`.

        What is added to them after this has returned is part of the next call's answer, so read them then.
        """
        ...


class OrderedReader(Protocol):
    """Reads the channels of one consumer group, each for as long as this instance has its lease.

    Safe for several tasks of one event loop, one for each channel. Raises `ServerUnavailableError`,
    `ServerRefusedError` or `ServerOutOfMemoryError`; after any of them the lease has to be taken anew, because entries
    may have been delivered that nobody has seen.
    """

    instance: str
    """The name of this instance, which no other has."""

    channels: Mapping[str, str]
    """The channel of each stream's key."""

    settings: ReaderSettings
    """How much to read at a time, and when to claim what others left pending."""

    async def take(self, channel: str, *, least_epoch: int = 0) -> Lease:
        """Take the lease, for an epoch of at least this number; make the group at its stream's beginning if need be.

        Raises `LeaseHeldError`.
        """
        ...

    async def turn(
        self, channel: str, lease: Lease, read: Read, acknowledge: Sequence[str], *, after: str = "0-0", count: int = 1
    ) -> Turn:
        """Acknowledge entries, then read at most `count` that follow the id `after`; for `new`, the last one read.

        Raises `LeaseLostError`.
        """
        ...

    async def between(self, channel: str, after: str, until: str, *, count: int) -> Sequence[Delivery]:
        """Return the first `count` entries after one id, up to another, whatever the group has done with them."""
        ...

    async def store_dead(self, channel: str, lease: Lease, letters: Mapping[str, DeadLetter]) -> None:
        """Store the dead letter of each entry, by its id, and acknowledge it; a repeat stores it once.

        Raises `LeaseLostError`.
        """
        ...

    async def close(self) -> None:
        """Release all connections. Closing twice does nothing."""
        ...
