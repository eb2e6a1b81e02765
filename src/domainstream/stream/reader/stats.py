"""What a reader has met so far: counted, logged, and losses told to whoever asked. Used by all readers. Pure."""

import logging
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from domainstream.stream.port import Loss
from domainstream.telemetry import emit

log: Final = logging.getLogger("domainstream.stream")

OnLoss = Callable[[Loss], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class ReaderStats:
    """What a reader has met since it was made.

    Attributes:
        read: Entries it returned, repeated ones each time.

        reclaimed: Those of them that it took over because they had been left alone.

        lost: Entries that its group will never get, as far as this reader found out; others may have found more.

        healed: Groups it made again after they had vanished.
    """

    read: int = 0
    reclaimed: int = 0
    lost: int = 0
    recreated: int = 0


class ReaderStatsRecorder:
    """Keeps the counts of one reader.

    Attributes:
        group: The consumer group that stands in every line.
    """

    def __init__(self, group: str, on_loss: OnLoss | None) -> None:
        """Tell losses to `on_loss`, if there is one."""
        self.group = group
        self._on_loss = on_loss
        self._counts: Counter[str] = Counter()

    @property
    def counts(self) -> ReaderStats:
        """What has been counted until now."""
        return ReaderStats(**self._counts)

    def read(self, entries: int) -> None:
        """Count what a read returned."""
        self._counts["read"] += entries

    def reclaimed(self, channel: str, entries: int) -> None:
        """Count what was taken over."""
        if entries:
            self._counts["reclaimed"] += entries
            emit(log, logging.INFO, "stream.reclaimed", group=self.group, channel=channel, entries=entries)

    def recreated(self, channels: Iterable[str]) -> None:
        """Count groups that had vanished."""
        for channel in channels:
            self._counts["healed"] += 1
            emit(log, logging.WARNING, "stream.group_healed", group=self.group, channel=channel)

    def lost(self, losses: Iterable[Loss]) -> None:
        """Count each loss and tell it; what the listener raises is logged, since reading must go on."""
        for loss in losses:
            self._counts["lost"] += loss.count
            fields = {"group": loss.group, "channel": loss.channel, "entries": loss.count}
            emit(log, logging.ERROR, "stream.loss", **fields, after=loss.after, before=loss.before)
            self._tell(loss)

    def _tell(self, loss: Loss) -> None:
        if self._on_loss is None:
            return
        try:
            self._on_loss(loss)
        except Exception:  # somebody else's code: whatever it raises, entries wait to be read
            log.exception("stream.loss_hook_failed group=%s channel=%s", loss.group, loss.channel)
