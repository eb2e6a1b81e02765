"""What the subscriber needs from streams.

Implementations: `redis_*` and `memory_*` of this stage. Both pass `domainstream.testing.stream_contract`.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol

from msgspec import Struct


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
    """A dead letter as it is kept."""

    dead_letter_id: str
    """Its own id; not that of the entry, which `letter.delivery.entry_id` is."""

    group: str
    """The consumer group that could not make a job of the entry."""

    letter: DeadLetter
    """The entry, and why."""


class RedriveResult(Struct, frozen=True, gc=False):
    """What became of dead letters that were to go back into their stream."""

    entry_ids: tuple[str, ...]
    """The new entries, in the order of their letters, which are gone."""

    without_data: tuple[str, ...]
    """The ids of letters that cannot go back, since their entry had no field `data`; they stay."""


class Loss(Struct, frozen=True, gc=False):
    """Entries that left a stream before a consumer group could settle them.

    One that was delivered, but left the stream before it was acknowledged, is a loss of its own: then `after` and
    `before` both are its id.
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


class StreamReader(Protocol):
    """Reads the channels of one consumer group, for one consumer.

    Delivers at least once. After a start, and after each read that failed, it delivers first what waits in its own
    name, then what any consumer has left alone for a while, then news; from time to time it looks again for what was
    left alone. So whatever is not acknowledged comes again, with `deliveries` counted up. A group that does not exist
    is made at the beginning of its stream; one that vanishes is made again there, so entries may be delivered once
    more. Losses are told to a function that the reader is given, before anything newer of their channel.

    For one task: calls must not overlap, but `acknowledge` may be called during `read`. Raises
    `ServerUnavailableError`, `ServerRefusedError` or `ServerOutOfMemoryError`, after which the next call connects
    again.
    """

    async def read(self) -> Sequence[Delivery]:
        """Return the next deliveries, per channel in the stream's order; empty when none came within some seconds."""
        ...

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """Settle these deliveries for good. Acknowledging twice, or for a group that has vanished, does nothing."""
        ...

    async def close(self) -> None:
        """Give back all connections; what is not acknowledged stays so. Closing twice does nothing."""
        ...


class DeadLetters(Protocol):
    """Keeps what can never become a job, for people to look at.

    For one task. Raises the same errors as `StreamReader`.
    """

    async def store(self, letters: Sequence[DeadLetter]) -> None:
        """Store each letter and acknowledge its entry, in one step on the server; burying twice stores it once.

        The step is atomic per letter. After an error the letters before the failing one are buried.
        """
        ...

    async def close(self) -> None:
        """Give back all connections. Closing twice does nothing."""
        ...


class DeadLetterRedrive(Protocol):
    """Where people look at dead letters, and send them once more when the cause is mended.

    For one task. Raises the same errors as `StreamReader`.
    """

    async def letters(self, channel: str, *, after: str = "", count: int = 100) -> Sequence[StoredDeadLetter]:
        """Return up to `count` letters of a channel, the oldest first, behind the letter with the id `after`."""
        ...

    async def redrive(self, channel: str, *, dead_letter_id: str | None = None, count: int = 100) -> RedriveResult:
        """Put the data of the oldest letters, or of one, at the end of the channel's stream and remove these letters.

        Every group of the stream gets the new entry, also those that had no trouble with the old one. A letter is
        removed and its entry added in one step on the server. A letter that is not there (any more) is passed over.
        """
        ...

    async def close(self) -> None:
        """Give back all connections. Closing twice does nothing."""
        ...


class MaintenanceTask(Protocol):
    """Something that has to be done beside reading from time to time, by one instance of a group.

    For one task. Raises the same errors as `StreamReader`.
    """

    every: timedelta
    """The pause between two rounds."""

    async def run_once(self) -> None:
        """Do one round; nothing while another instance does it."""
        ...

    async def close(self) -> None:
        """Give back all connections. Closing twice does nothing."""
        ...
