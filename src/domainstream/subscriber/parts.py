"""What the channels of a subscriber share, and what each has of its own."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from domainstream.lifecycle import Lifecycle
from domainstream.queue import JobAdder
from domainstream.retrying import Backoff
from domainstream.stream import ReaderSettings, StreamReader
from domainstream.stream.reader.batch_size import HeldEntries
from domainstream.subscriber.progress import Progress
from domainstream.subscriber.router import JobRouter
from domainstream.subscriber.stream_shares import Share
from domainstream.telemetry import Attributes

READING: Final = ReaderSettings()


@dataclass(frozen=True, kw_only=True, slots=True)
class OneChannel:
    """What belongs to one channel, from one epoch to the next."""

    name: str
    """The channel."""

    share: Share
    """Whether this instance is to have it, and what wakes it."""

    lifecycle: Lifecycle
    """Says when to stop."""

    backoff: Backoff
    """The pauses after failures in a row."""

    @property
    def is_stopping(self) -> bool:
        """Whether to give the channel up."""
        return self.lifecycle.stopping.is_set() or not self.share.is_mine


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

    server: Attributes = field(default_factory=dict)
    """What spans say of the streams' server."""

    @cached_property
    def held(self) -> HeldEntries:
        """What all channels have read and not handed over yet."""
        return HeldEntries(self.reading)
