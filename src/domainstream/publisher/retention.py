"""How long a stream keeps its entries: the setting, and how the scripts that trim take it."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from domainstream.redis.scripts import lua_text
from domainstream.validation import at_most, positive_fields, raise_problems

RETENTION: Final = lua_text("domainstream.publisher", "retention")
"""The part of Lua that says which entries may go. The scripts of the publisher and of the trimmer include it."""


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


def retention_arguments(retention: Retention) -> tuple[str, str, str]:
    """Return a retention as scripts take it: max_age and max_unread_age in ms, max_length; empty for no limit."""
    length = "" if retention.max_length is None else str(retention.max_length)
    return (milliseconds(retention.max_age), milliseconds(retention.max_unread_age), length)


def milliseconds(duration: timedelta | None) -> str:
    """Return a duration as scripts take it, at least 1 ms; empty for None."""
    return "" if duration is None else str(max(1, round(duration / timedelta(milliseconds=1))))
