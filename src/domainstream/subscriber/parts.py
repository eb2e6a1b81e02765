"""What the channels of a subscriber share."""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

from domainstream.queue import JobAdder
from domainstream.stream import ReaderSettings, StreamReader
from domainstream.stream.reader.batch_size import HeldEntries
from domainstream.subscriber.progress import Progress
from domainstream.subscriber.router import JobRouter

READING: Final = ReaderSettings()


@dataclass(frozen=True, kw_only=True)
class HandOverParts:
    """The ports and the stages between them."""

    reader: StreamReader
    """Reads the streams."""

    adder: JobAdder
    """Adds the jobs."""

    router: JobRouter
    """Says what an entry becomes."""

    progress: Progress
    """Counts and reports."""

    reading: ReaderSettings = READING
    """How much is read at a time, and when to claim what other consumers have left pending."""

    @cached_property
    def held(self) -> HeldEntries:
        """What all channels have read and not handed over yet."""
        return HeldEntries(self.reading)
