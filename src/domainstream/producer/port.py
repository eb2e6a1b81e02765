"""The port between producer and publisher: what a publisher must do, in words and types."""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from domainstream.health import Health
from domainstream.receipt import Receipt


class OutgoingMessage(Struct, frozen=True, gc=False):
    """One event, ready to be sent."""

    channel: str
    """The value of the channel it goes to."""

    event_id: str
    """The id its receipt will carry."""

    data: bytes
    """CloudEvents JSON in UTF-8, as `EventEncoder` writes it."""


class EventPublisher(Protocol):
    """Where a producer's messages go.

    One publisher serves any number of tasks of one event loop; it is not for several threads. Whoever made it closes
    it. `domainstream.testing.publisher_contract` holds the suite that every publisher must pass.
    """

    async def publish(self, messages: Sequence[OutgoingMessage]) -> list[Receipt]:
        """Send `messages` and return one receipt each, in their order, once the fate of all is settled.

        Messages of one channel are stored in the order of the calls and, within a call, of the sequence. There is no
        atomicity across a call: each receipt says what became of its own message, and `rejected` means for certain that
        no entry exists. The outcome of a message is never an exception.

        Raises `PublisherClosedError` after `close`, having sent nothing. When the calling task is cancelled, messages
        that were not yet sent never will be, and the `asyncio.CancelledError` has a `PublishCancelledError` with the
        receipts as its cause.
        """
        ...

    async def health(self) -> Health:
        """Ask the server for a sign of life; never raises."""
        ...

    async def close(self) -> None:
        """Refuse new messages, settle the waiting ones, release connections; may be called again."""
        ...
