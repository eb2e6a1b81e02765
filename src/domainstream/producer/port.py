"""The port between producer and publisher, with the contract that every publisher must keep."""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from domainstream.channel.partitions import parse_target
from domainstream.health import Health
from domainstream.receipt import Receipt
from domainstream.settings import Confirm


class OutgoingMessage(Struct, frozen=True, gc=False):
    """One encoded event and where it goes."""

    target: str
    """The value of the channel; for one with partitions, `domain_x:p3/8` is partition 3 of 8."""

    event_id: str
    """The id of the event; its receipt carries the same id."""

    data: bytes
    """CloudEvents JSON in UTF-8, as written by `EventEncoder`."""

    subject: str = ""
    """The id of the aggregate; empty if whoever wants to know it, and the transaction, has to look into `data`."""

    correlation_id: str | None = None
    """The transaction that the event belongs to; None if that is its own."""

    @property
    def channel(self) -> str:
        """The value of the channel."""
        return parse_target(self.target).channel


class EventPublisher(Protocol):
    """Stores a producer's messages in the streams of their channels.

    A publisher serves any number of tasks of one event loop, but only one thread. The code that created it closes it.
    Every publisher must pass the suite in `domainstream.testing.publisher_contract`.
    """

    async def publish(self, messages: Sequence[OutgoingMessage], *, confirm: Confirm | None = None) -> list[Receipt]:
        """Send `messages` and return one receipt each, in the same order, once every outcome is known.

        Messages with one target are stored in the order of the calls and, within a call, in the order of `messages`. A
        call is not atomic: each receipt reports the outcome of its own message, and `rejected` guarantees that no entry
        exists. Outcomes are never raised as exceptions.

        `confirm` says how many replicas must have a message before it is `published`; its receipt says how many had it.
        With fewer of them it is `unknown`. 0 waits for none, and None leaves it to the publisher. Raises
        `ConfigurationError`, without sending anything, for any other value than `Confirm` allows.

        After `close`, raises `PublisherClosedError` without sending anything. If the calling task is cancelled,
        messages that were not sent yet are never sent, and the `asyncio.CancelledError` has a `PublishCancelledError`
        with the receipts as its cause.
        """
        ...

    async def health(self) -> Health:
        """Return whether messages could be published now; never raises."""
        ...

    async def close(self) -> None:
        """Reject new messages, finish the pending ones and release connections; may be called more than once."""
        ...
