"""What a subscriber may be told beside where it connects."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from domainstream.publisher import Retention
from domainstream.settings import MessageLimits
from domainstream.stream import Loss, ReaderSettings
from domainstream.validation import positive_fields, raise_problems

READING: Final = ReaderSettings()
LIMITS: Final = MessageLimits()


@dataclass(frozen=True, kw_only=True, slots=True)
class SubscriberSettings:
    """Limits and habits of a subscriber."""

    delivery_limit: int = 5
    """How often an entry may be delivered before it becomes a dead letter. Defaults to 5."""

    reading: ReaderSettings = READING
    """How much is read at a time, and when what others left alone is taken over. Defaults to 1,000 entries, 4 MiB and
    30 seconds.
    """

    limits: MessageLimits = LIMITS
    """What a message may be; one beyond becomes a dead letter. Defaults to those of publishers."""

    retention: Retention | None = None
    """The retention of the publishers. When it is given, subscribers keep it on streams too that nobody publishes to
    any more. None leaves these as they are. Defaults to None.
    """

    queue_url: str | None = None
    """The server of the queues, where that is not the streams' own. Then handing over takes several steps, and relies
    on queues to keep completed jobs for as long as an event may be delivered again. None for the same server. Defaults
    to None.
    """

    accept_eviction: bool = False
    """Run although the server may evict keys when its memory is full, and with them events. Defaults to False."""

    on_loss: Callable[[Loss], None] | None = None
    """Called with each loss of entries, beside the log; what it raises is logged. None calls nothing."""

    def __post_init__(self) -> None:
        """Raise `ConfigurationError` for a limit of zero or less."""
        raise_problems("SubscriberSettings", positive_fields(self))
