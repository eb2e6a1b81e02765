"""What the subscriber needs from streams. Before: `domainstream.publisher`, across Redis; next: `domainstream.queue`.

Implementations: `redis_stream_reader` and `redis_dead_letters`, `memory_stream`. All pass the same tests.
"""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct


class Delivery(Struct, frozen=True, gc=False):
    """One stream entry as a consumer group delivered it.

    Attributes:
        channel: The channel's value, without any prefix of the key.

        entry_id: `milliseconds-number` on the server's clock.

        data: The entry's field `data`, which should be a CloudEvent as JSON; None when the entry has no such field, or
            was trimmed from the stream after it had been delivered for the first time.
    """

    channel: str
    entry_id: str
    data: bytes | None

    @property
    def timestamp_ms(self) -> int:
        """When the entry was added, in milliseconds since 1970, on the server's clock."""
        return int(self.entry_id.partition("-")[0])


class DeadLetter(Struct, frozen=True, gc=False):
    """A delivery that can never become a job, and why.

    Attributes:
        delivery: What was delivered.

        error: The name of the error's class, as `InvalidEnvelopeError`.

        reason: The error's message; it never quotes the payload.
    """

    delivery: Delivery
    error: str
    reason: str


class StreamReader(Protocol):
    """Reads the channels of one consumer group, for one consumer.

    Delivers at least once. What was delivered and not acknowledged is delivered again before anything new: by this
    reader, and, after a crash, by the next reader of the same consumer name. A group that does not exist is made at
    the beginning of its stream; one that vanishes is made again there, so entries may be delivered once more.

    For one task: calls must not overlap. Raises `ServerUnavailableError`, `ServerRefusedError` or
    `ServerOutOfMemoryError`, after which the next call connects again.
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

    async def bury(self, letters: Sequence[DeadLetter]) -> None:
        """Store each letter and acknowledge its entry, in one step on the server; burying twice stores it once.

        The step is atomic per letter. After an error the letters before the failing one are buried.
        """
        ...

    async def close(self) -> None:
        """Give back all connections. Closing twice does nothing."""
        ...
