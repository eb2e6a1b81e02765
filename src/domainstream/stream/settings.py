"""How a stream reader reads: the limits of a read, and when others' entries are taken over."""

from dataclasses import dataclass
from datetime import timedelta

from domainstream.validation import positive_fields, raise_problems


@dataclass(frozen=True, kw_only=True, slots=True)
class ReaderSettings:
    """What a `StreamReader` can be told about reading."""

    block: timedelta = timedelta(seconds=1)
    """How long a read waits for news on the server; also the longest that stopping has to wait. Defaults to 1 second.
    """

    claim_after: timedelta = timedelta(seconds=30)
    """An entry that a consumer got so long ago and has not acknowledged is taken over, also from the reader's own name;
    the reader looks for such entries at its start and after each half of this time. Must be longer than a batch takes,
    or slow instances lose their entries to others. Defaults to 30 seconds.
    """

    max_entries: int = 1_000
    """What a read aims to return at most, all channels together. The server only knows a limit per channel, which is
    found by feedback: when many channels become busy in one moment, a read may return more. Defaults to 1,000.
    """

    max_bytes: int = 4 * 1024 * 1024
    """The same, in bytes of data; one entry that is larger is still read. Defaults to 4 MiB."""

    def __post_init__(self) -> None:
        """Raise `ConfigurationError` for limits that are not above zero."""
        raise_problems("ReaderSettings", positive_fields(self))
