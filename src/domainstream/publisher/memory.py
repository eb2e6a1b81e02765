"""A publisher without a server, for tests and first steps. It passes the same contract suite as the one for Redis."""

import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from types import TracebackType
from typing import Self

from domainstream.errors import PublisherClosedError
from domainstream.health import Health
from domainstream.producer import OutgoingMessage
from domainstream.receipt import Outcome, Receipt
from domainstream.settings import Confirm, confirm_problem
from domainstream.validation import raise_problems

Entry = tuple[str, bytes]
"""An entry's id, `milliseconds-number`, and its message."""


class MemoryPublisher:
    """Keeps each channel's entries in a list; implements `EventPublisher`.

    Nothing is ever trimmed. As many replicas as a call asks for have everything at once, and one if it asks for all.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        """Take entry ids from `clock`, in seconds since the epoch."""
        self.streams: dict[str, list[Entry]] = {}
        """The entries of each channel that has any, oldest first."""
        self._clock = clock
        self._closed = False

    async def publish(self, messages: Sequence[OutgoingMessage], *, confirm: Confirm | None = None) -> list[Receipt]:
        """Store `messages` at once; see `EventPublisher.publish`."""
        if self._closed:
            raise PublisherClosedError("the publisher is closed; publish inside its `async with` block")
        confirmed_by = simulated_replicas(confirm)
        return [self._store(message, confirmed_by) for message in messages]

    async def health(self) -> Health:
        """Return whether it is open."""
        if self._closed:
            return Health(ok=False, problem="the publisher is closed")
        return Health(ok=True, round_trip=timedelta())

    async def close(self) -> None:
        """Refuse new messages; the entries stay readable."""
        self._closed = True

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    def _store(self, message: OutgoingMessage, confirmed_by: int | None) -> Receipt:
        entries = self.streams.setdefault(message.channel, [])
        now = int(self._clock() * 1000)
        entry_id = f"{now}-0"
        if entries:
            # Count on from the last entry, also when the clock was set back, as Redis does.
            milliseconds, _, number = entries[-1][0].partition("-")
            entry_id = entry_id if now > int(milliseconds) else f"{milliseconds}-{int(number) + 1}"
        entries.append((entry_id, message.data))
        return Receipt(
            event_id=message.event_id,
            outcome=Outcome.PUBLISHED,
            channel=message.channel,
            entry_id=entry_id,
            confirmed_by=confirmed_by,
        )


def simulated_replicas(confirm: Confirm | None) -> int | None:
    """Return how many replicas have what is published in memory; None if the call waits for none.

    Raises `ConfigurationError` for what cannot be waited for.
    """
    raise_problems("publish(confirm=...)", [confirm_problem(confirm, least=0)])
    return (confirm if isinstance(confirm, int) else 1) if confirm else None
