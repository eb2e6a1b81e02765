"""Counts what a subscriber does, and reports what goes wrong with its channels."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from time import monotonic
from typing import Final

from msgspec import Struct, field
from msgspec.structs import replace

from domainstream.errors import ServerError
from domainstream.health import Health
from domainstream.queue import RoutedEntry
from domainstream.queue.port import NewlyHeld, Refusal
from domainstream.retrying import Backoff
from domainstream.stream import DeadLetter, Delivery, Loss, OnLoss
from domainstream.stream.lease import LeaseLostError
from domainstream.stream.port import Turn
from domainstream.stream.reader.stats import ReaderStatsRecorder
from domainstream.stream.state import id_order
from domainstream.telemetry import Signal, emit
from domainstream.validation import plain_name

LEASES_IN_A_ROW: Final = 2
"""How often a channel may lose its lease, without anything read in between, and be well."""

QUIET: Final = 1.0
"""Seconds for which a failure is not reported again: a server that is down fails every channel."""


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

    held: int = 0
    """How often this instance noticed that a key became held: one whose first job has failed permanently."""

    lost: int = 0
    """Entries that were removed before the group had read them, as far as this instance found; those removed before the
    group's first read are not counted.
    """

    failures: int = 0
    """Failed attempts of the channels whose latest attempt failed; 0 when all is well."""

    last_error: str = ""
    """The message of the latest failure; empty before the first."""


class Progress:
    """What the channels of one subscriber have done, together."""

    def __init__(self, group: str, on_loss: OnLoss | None = None) -> None:
        """Name `group` in signals; report losses to `on_loss`, if there is one."""
        self.group = plain_name(group)
        """The group of the streams' readers."""
        self.stats = SubscriberStats()
        """What was done so far."""
        self._recorder = ReaderStatsRecorder(group, on_loss)
        self._failing: dict[str, int] = {}
        self._interrupted: dict[str, int] = {}
        self._reported: dict[str, float] = {}

    def health(self) -> Health:
        """Return whether the latest attempt of every channel succeeded."""
        if self._failing:
            return Health(ok=False, problem=self.stats.last_error)
        return Health(ok=True)

    def read(self, turn: Turn) -> None:
        """Count what a turn read, and report what its group has lost before."""
        self._recorder.read(len(turn.deliveries))
        if turn.loss:
            self._lost([turn.loss])

    def removed(self, channel: str, entry_ids: Sequence[str], *, arrived: str) -> None:
        """Report pending entries that were removed as lost, unless their jobs have arrived: those up to an id have."""
        gone = [entry_id for entry_id in entry_ids if id_order(entry_id) > id_order(arrived)]
        if gone:
            self._lost([Loss(channel, self._recorder.group, 1, one, one) for one in gone])

    def reclaimed(self, channel: str, entries: int) -> None:
        """Count entries that were taken over from consumers of other names."""
        self._recorder.reclaimed(channel, entries)

    def handed_over(
        self, entries: Sequence[RoutedEntry], letters: Mapping[str, DeadLetter], refused: AbstractSet[str]
    ) -> None:
        """Count entries whose jobs are added, but for those that were refused, and the dead letters among them."""
        done = [entry for entry in entries if entry.delivery.entry_id not in refused]
        self.stats = replace(
            self.stats,
            forwarded=self.stats.forwarded + len(done),
            jobs=self.stats.jobs + sum([len(entry.jobs) for entry in done if entry.delivery.entry_id not in letters]),
            dead_letters=self.stats.dead_letters + len(letters),
        )
        for letter in letters.values():
            emit(
                Signal.SUBSCRIBER_DEAD_LETTER,
                channel=letter.delivery.channel,
                entry=letter.delivery.entry_id,
                error=letter.error,
                reason=letter.reason,
            )

    def held(self, held: NewlyHeld) -> None:
        """Report a key whose jobs wait behind one that has failed permanently."""
        self.stats = replace(self.stats, held=self.stats.held + 1)
        emit(Signal.SUBSCRIBER_KEY_HELD, queue=held.queue, key=held.key, job=held.job_id, waiting=held.waiting)

    def refused(self, delivery: Delivery, refusal: Refusal) -> None:
        """Report an entry that stays pending because a queue did not take it."""
        self.stats = replace(self.stats, skipped=self.stats.skipped + 1, last_error=refusal.reason)
        emit(
            Signal.SUBSCRIBER_REFUSED,
            channel=delivery.channel,
            entry=delivery.entry_id,
            queue=refusal.queue,
            delivery=delivery.deliveries,
            reason=refusal.reason,
        )

    def interrupted(self, channel: str, lost: LeaseLostError) -> None:
        """Report that a channel's lease has to be taken anew: once is usual when instances or servers change."""
        self._interrupted[channel] = self._interrupted.get(channel, 0) + 1
        if self._interrupted[channel] > LEASES_IN_A_ROW:
            self._failing[channel] = self._failing.get(channel, 0) + 1
            self.stats = replace(self.stats, failures=sum(self._failing.values()), last_error=str(lost))
        if self._is_due("lease"):
            emit(Signal.SUBSCRIBER_LEASE_LOST, channel=channel, reason=lost)

    def failed(self, channel: str, error: ServerError, backoff: Backoff) -> float:
        """Note a failure of a channel; return how many seconds it should pause."""
        self._failing[channel] = self._failing.get(channel, 0) + 1
        pause, reason = backoff.next(), str(error)
        self.stats = replace(self.stats, failures=sum(self._failing.values()), last_error=reason)
        if self._is_due(reason):
            emit(Signal.SUBSCRIBER_RETRIED, channel=channel, pause_s=round(pause, 2), reason=error)
        return pause

    def succeeded(self, channel: str) -> None:
        """Note that a channel is well."""
        self._interrupted.pop(channel, None)
        if self._failing.pop(channel, None) is not None:
            self.stats = replace(self.stats, failures=sum(self._failing.values()))

    def _lost(self, losses: Sequence[Loss]) -> None:
        self._recorder.lost(losses)
        self.stats = replace(self.stats, lost=self._recorder.stats.lost)

    def _is_due(self, reason: str) -> bool:
        """Return whether to report something, and note that it is."""
        now = monotonic()
        if now - self._reported.get(reason, -QUIET) < QUIET:
            return False
        self._reported = {other: at for other, at in self._reported.items() if now - at < QUIET}
        self._reported[reason] = now
        return True
