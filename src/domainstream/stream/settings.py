"""How a stream reader reads: the limits of a read, and when abandoned entries are taken over."""

from dataclasses import dataclass
from datetime import timedelta

from domainstream.validation import positive_fields, raise_problems


@dataclass(frozen=True, kw_only=True, slots=True)
class ReaderSettings:
    """The settings of a `StreamReader`."""

    block: timedelta = timedelta(seconds=1)
    """How long a read waits on the server for new entries, and so how long a stop may take. Defaults to 1 second."""

    claim_after: timedelta = timedelta(seconds=30)
    """Idle time after which a pending entry is reclaimed, including this reader's own; checked at start-up and then
    every `claim_after / 2`. Must be longer than a batch takes, or slow instances lose their entries to others. Defaults
    to 30 seconds.
    """

    max_entries: int = 1_000
    """How many entries a read should return at most, over all channels. The server only knows a limit per channel,
    which is adapted by feedback: when many channels become busy at once, a read may return more. Defaults to 1,000.
    """

    max_bytes: int = 4 * 1024 * 1024
    """The same in bytes of data; a single larger entry is still read. Defaults to 4 MiB."""

    def __post_init__(self) -> None:
        """Raise `ConfigurationError` for limits that are not positive."""
        raise_problems("ReaderSettings", positive_fields(self))
