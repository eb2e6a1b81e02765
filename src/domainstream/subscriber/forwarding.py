"""Forwards routed entries, retries while the server is not ready, and counts what was done."""

from collections.abc import Sequence

from msgspec import Struct, field
from msgspec.structs import replace

from domainstream.errors import ServerError, ServerRefusedError
from domainstream.health import Health
from domainstream.lifecycle import Lifecycle
from domainstream.queue import Forwarder, RoutedEntry
from domainstream.retrying import Backoff
from domainstream.stream import DeadLetter
from domainstream.telemetry import Signal, emit


class SubscriberStats(Struct, frozen=True, kw_only=True):
    """What a subscriber has done so far: a snapshot. As JSON it is `done` of `/ready`."""

    forwarded: int = 0
    """Entries that were forwarded, including dead letters and entries of channels without handlers."""

    jobs: int = 0
    """Jobs made of these entries."""

    dead_letters: int = 0
    """Entries that became dead letters."""

    skipped: int = field(default=0, name="left_alone")
    """How often an entry that the server rejected was left pending, to be delivered again."""

    failures: int = 0
    """Consecutive failed attempts; 0 after a success."""

    last_error: str = ""
    """The message of the latest failure; empty before the first."""


class RetryingForwarder:
    """Retries what fails, and separates entries that the server rejects from those that it accepts."""

    def __init__(self, forwarder: Forwarder, lifecycle: Lifecycle, *, delivery_limit: int) -> None:
        """Forward until `lifecycle` stops; after that, the next failure ends the retrying.

        An entry that is rejected at its delivery number `delivery_limit` becomes a dead letter.
        """
        self.stats = SubscriberStats()
        """What was done so far."""
        self._forwarder = forwarder
        self._lifecycle = lifecycle
        self._delivery_limit = delivery_limit
        self._backoff = Backoff()

    def health(self) -> Health:
        """Return whether the latest attempt succeeded."""
        if self.stats.failures:
            return Health(ok=False, problem=self.stats.last_error)
        return Health(ok=True)

    async def deliver(self, entries: Sequence[RoutedEntry]) -> None:
        """Return once every entry is forwarded, or skipped because the server rejects it, or the lifecycle has stopped.

        What is skipped is not acknowledged, so it is delivered again after a while.
        """
        try:
            if not await self._retry(entries):
                return
        except ServerRefusedError:
            # One bad entry must not hold up the others.
            for entry in entries:
                await self._deliver_alone(entry)
            return
        self._count(entries)

    async def _retry(self, entries: Sequence[RoutedEntry]) -> bool:
        """Forward; return False when stopped before it succeeded. Raises `ServerRefusedError`."""
        while True:
            try:
                await self._forwarder.forward(entries)
            except ServerRefusedError:
                raise
            except ServerError as error:
                self._failed(error)
                if self._lifecycle.stopping.is_set():
                    return False
                pause = self._backoff.next()
                emit(Signal.SUBSCRIBER_RETRIED, pause_s=round(pause, 2), reason=error)
                await self._lifecycle.rest(pause)
            else:
                self._backoff.reset()
                if self.stats.failures:
                    self.stats = replace(self.stats, failures=0)
                return True

    async def _deliver_alone(self, entry: RoutedEntry) -> None:
        """Forward one entry. One that the server rejects is skipped, or a dead letter if it was the last delivery."""
        try:
            if await self._retry([entry]):
                self._count([entry])
        except ServerRefusedError as error:
            delivery = entry.delivery
            if delivery.deliveries >= self._delivery_limit and not entry.dead_letter:
                dead_letter = DeadLetter(delivery, type(error).__name__, str(error))
                await self._deliver_alone(RoutedEntry(delivery, dead_letter=dead_letter))
                return
            self._failed(error)
            self.stats = replace(self.stats, skipped=self.stats.skipped + 1)
            emit(
                Signal.SUBSCRIBER_REFUSED,
                channel=delivery.channel,
                entry=delivery.entry_id,
                delivery=delivery.deliveries,
                reason=error,
            )

    def _failed(self, error: ServerError) -> None:
        self.stats = replace(self.stats, failures=self.stats.failures + 1, last_error=str(error))

    def _count(self, entries: Sequence[RoutedEntry]) -> None:
        dead_letters = [entry.dead_letter for entry in entries if entry.dead_letter]
        self.stats = replace(
            self.stats,
            forwarded=self.stats.forwarded + len(entries),
            jobs=self.stats.jobs + sum([len(entry.jobs) for entry in entries]),
            dead_letters=self.stats.dead_letters + len(dead_letters),
        )
        for dead_letter in dead_letters:
            emit(
                Signal.SUBSCRIBER_DEAD_LETTER,
                channel=dead_letter.delivery.channel,
                entry=dead_letter.delivery.entry_id,
                error=dead_letter.error,
                reason=dead_letter.reason,
            )
