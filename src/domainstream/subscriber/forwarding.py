"""Hands parcels over until they are, whatever the server does."""

from collections.abc import Sequence

from msgspec import Struct

from domainstream.errors import ServerError, ServerRefusedError
from domainstream.lifecycle import Lifecycle
from domainstream.queue import Forwarder, RoutedEntry
from domainstream.retrying import Backoff
from domainstream.stream import DeadLetter
from domainstream.telemetry import Signal, emit


class SubscriberHealth(Struct):
    """What a subscriber has done so far."""

    forwarded: int = 0
    """Entries that were handed over, those that nobody listens to and dead letters included."""

    jobs: int = 0
    """Jobs of these entries."""

    dead_letters: int = 0
    """Entries that became dead letters."""

    left_alone: int = 0
    """How often an entry that the server refused was left for a later delivery."""

    failures: int = 0
    """Attempts in a row that failed; 0 while all is well."""

    last_error: str = ""
    """What the latest failure said; empty before the first."""

    def failed(self, error: ServerError) -> None:
        """Count a failure."""
        self.failures += 1
        self.last_error = str(error)


class RetryingForwarder:
    """Repeats what fails, and parts what the server refuses from what it takes."""

    def __init__(self, forward: Forwarder, lifecycle: Lifecycle, *, delivery_limit: int) -> None:
        """Hand over until `lifecycle` stops; after that the next failure is the last.

        A parcel that is refused at its delivery number `delivery_limit` becomes a dead letter.
        """
        self.health = SubscriberHealth()
        """What was done so far."""
        self._forwarder = forward
        self._lifecycle = lifecycle
        self._delivery_limit = delivery_limit
        self._backoff = Backoff()

    async def deliver(self, routed_entries: Sequence[RoutedEntry]) -> None:
        """Return once every parcel is handed over, or left alone because the server refuses it, or we were stopped.

        What is left alone is not acknowledged, so it is delivered again after a while.
        """
        try:
            if not await self._patiently(routed_entries):
                return
        except ServerRefusedError:
            # One bad parcel must not hold up the others.
            for routed_entry in routed_entries:
                await self._alone(routed_entry)
            return
        self._count(routed_entries)

    async def _patiently(self, routed_entries: Sequence[RoutedEntry]) -> bool:
        """Hand over; tell whether that worked before we were stopped. Raises `ServerRefusedError`."""
        while True:
            try:
                await self._forwarder.forward(routed_entries)
            except ServerRefusedError:
                raise
            except ServerError as error:
                self.health.failed(error)
                if self._lifecycle.stopping.is_set():
                    return False
                pause = self._backoff.next()
                emit(Signal.SUBSCRIBER_RETRIED, pause_s=round(pause, 2), reason=error)
                await self._lifecycle.rest(pause)
            else:
                self._backoff.reset()
                self.health.failures = 0
                return True

    async def _alone(self, routed_entry: RoutedEntry) -> None:
        try:
            if await self._patiently([routed_entry]):
                self._count([routed_entry])
        except ServerRefusedError as error:
            await self._refused(routed_entry, error)

    async def _refused(self, routed_entry: RoutedEntry, error: ServerRefusedError) -> None:
        delivery = routed_entry.delivery
        if delivery.deliveries < self._delivery_limit or routed_entry.letter:
            self.health.failed(error)
            self.health.left_alone += 1
            emit(
                Signal.SUBSCRIBER_REFUSED,
                channel=delivery.channel,
                entry=delivery.entry_id,
                delivery=delivery.deliveries,
                reason=error,
            )
            return
        letter = DeadLetter(delivery, type(error).__name__, str(error))
        await self._alone(RoutedEntry(delivery, letter=letter))

    def _count(self, routed_entries: Sequence[RoutedEntry]) -> None:
        self.health.forwarded += len(routed_entries)
        self.health.jobs += sum([len(routed_entry.jobs) for routed_entry in routed_entries])
        for routed_entry in routed_entries:
            if letter := routed_entry.letter:
                self.health.dead_letters += 1
                emit(
                    Signal.SUBSCRIBER_DEAD_LETTER,
                    channel=letter.delivery.channel,
                    entry=letter.delivery.entry_id,
                    error=letter.error,
                    reason=letter.reason,
                )
