"""Counts what a reader meets, emits it as signals, and reports losses."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from domainstream.stream.port import Loss
from domainstream.telemetry import Signal, emit

OnLoss = Callable[[Loss], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class ReaderStats:
    """What a reader has met since it was made."""

    read: int = 0
    """Entries it returned; redelivered ones count each time."""

    reclaimed: int = 0
    """Those of them that it took over because another consumer had abandoned them."""

    lost: int = 0
    """Entries that its group will never get, as far as this reader found; other instances may have found more. Those
    removed before the group's first read are not counted.
    """

    recreated: int = 0
    """Groups it created again after they had vanished."""


class ReaderStatsRecorder:
    """Records the stats of one reader."""

    def __init__(self, group: str, on_loss: OnLoss | None) -> None:
        """Report losses to `on_loss`, if there is one."""
        self.group = group
        """The consumer group, which every signal names."""
        self._on_loss = on_loss
        self._counts: Counter[str] = Counter()

    @property
    def stats(self) -> ReaderStats:
        """What has been counted until now."""
        return ReaderStats(**self._counts)

    def read(self, entries: int) -> None:
        """Count what a read returned."""
        self._counts["read"] += entries

    def reclaimed(self, channel: str, entries: int) -> None:
        """Count entries that were taken over."""
        if entries:
            self._counts["reclaimed"] += entries
            emit(Signal.STREAM_RECLAIMED, group=self.group, channel=channel, entries=entries)

    def recreated(self, channels: Iterable[str]) -> None:
        """Count groups that were created again."""
        for channel in channels:
            self._counts["recreated"] += 1
            emit(Signal.STREAM_GROUP_RECREATED, group=self.group, channel=channel)

    def lost(self, losses: Iterable[Loss]) -> None:
        """Count and report each loss; what `on_loss` raises is logged, since reading must go on."""
        for loss in losses:
            group, channel, entries, before = loss.group, loss.channel, loss.count, loss.before
            if loss.before_group:
                emit(Signal.STREAM_TRIMMED_BEFORE_GROUP, group=group, channel=channel, entries=entries, before=before)
            else:
                self._counts["lost"] += entries
                after = loss.after
                emit(Signal.STREAM_LOSS, group=group, channel=channel, entries=entries, after=after, before=before)
            if self._on_loss is None:
                continue
            try:
                self._on_loss(loss)
            except Exception as error:  # noqa: BLE001 - the user's code, and entries wait to be read
                emit(Signal.STREAM_LOSS_HOOK_FAILED, exc=error, group=group, channel=channel)
