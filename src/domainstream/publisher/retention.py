"""How long a stream keeps its entries."""

from dataclasses import dataclass
from datetime import timedelta

from domainstream.validation import at_most, positive_fields, raise_problems


@dataclass(frozen=True, kw_only=True, slots=True)
class Retention:
    """What may be trimmed from a channel's stream; applied with each batch, on the server's clock.

    Raises `ConfigurationError` when a limit is not above zero, or when unread entries would go before read ones.
    """

    max_age: timedelta | None = timedelta(hours=1)
    """Entries that every group has read and acknowledged are removed when they are older. A stream without any group
    has not been read. None keeps them. Defaults to 1 hour. Whole nodes of the stream are freed (100 entries or 4096
    bytes), so a few older ones may remain.
    """

    max_unread_age: timedelta | None = None
    """Entries that some group has not read or not acknowledged, or that no group has read yet, are removed when they
    are older than this, which is a loss. Without `max_age` nothing is removed by its age, and this has no effect. None
    keeps them until they are acknowledged; when they fill the server's memory, publishers get `ServerOutOfMemoryError`.
    Defaults to None.
    """

    max_length: int | None = None
    """The oldest entries are removed, read or not, when a stream has more. None sets no limit. Defaults to None."""

    def __post_init__(self) -> None:
        """Check the limits, all at once."""
        raise_problems("Retention", [*positive_fields(self), at_most(self, "max_age", "max_unread_age")])
