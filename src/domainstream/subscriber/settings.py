"""The settings of a subscriber, beside where it connects."""

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
    """The limits, retention and queue server of a subscriber."""

    delivery_limit: int = 5
    """How often an entry may be delivered before it becomes a dead letter. Defaults to 5."""

    reading: ReaderSettings = READING
    """How much is read at a time, and when abandoned entries are reclaimed. Defaults to 1,000 entries, 4 MiB and 30
    seconds.
    """

    limits: MessageLimits = LIMITS
    """The limits of a message; one that exceeds them becomes a dead letter. Defaults to those of publishers."""

    retention: Retention | None = None
    """The retention of the publishers. If it is set, subscribers also trim the streams that no longer get new entries.
    None leaves those untrimmed. Defaults to None.
    """

    queue_url: str | None = None
    """The server of the queues, if it is not the streams' own. Forwarding then takes several steps, and relies on the
    queues to keep completed jobs for as long as an event may be delivered again. None for the same server. Defaults to
    None.
    """

    accept_eviction: bool = False
    """Run although the server may evict keys when its memory is full, and with them events. Defaults to False."""

    on_loss: Callable[[Loss], None] | None = None
    """Called with each loss of entries, which is logged too; exceptions that it raises are logged. Defaults to None."""

    def __post_init__(self) -> None:
        """Raise `ConfigurationError` for a limit of zero or less."""
        raise_problems("SubscriberSettings", positive_fields(self))
