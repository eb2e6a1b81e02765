"""What people are told of streams and their groups."""

from msgspec import Struct


class StreamState(Struct, frozen=True, kw_only=True):
    """One channel's stream."""

    channel: str
    """The channel's value."""

    length: int
    """Entries that it holds."""

    added: int | None
    """Entries that were ever added; None where the server does not count them."""

    groups: int
    """How many consumer groups read it."""

    first_id: str
    """The id of the oldest entry; empty when there is none."""

    last_id: str
    """The id of the newest entry that ever was; `0-0` before the first."""


class GroupState(Struct, frozen=True, kw_only=True):
    """How far one consumer group has come on one channel."""

    channel: str
    """The channel's value."""

    group: str
    """The group's name."""

    consumers: int
    """How many consumers it has, idle ones included."""

    unread: int
    """Entries in the stream that were not delivered yet."""

    pending: int
    """Entries that were delivered and not acknowledged."""

    lag: int
    """What is not settled yet: unread and pending."""

    lost: int
    """Entries that left the stream unread since the group's last read."""

    oldest_ms: int | None
    """For how long the oldest entry that is not settled has been waiting, in milliseconds; None without any."""

    last_delivered_id: str
    """The id of the newest entry that was delivered; `0-0` for none."""


class ConsumerState(Struct, frozen=True, kw_only=True):
    """One consumer of a group on one channel."""

    channel: str
    """The channel's value."""

    group: str
    """The group's name."""

    consumer: str
    """The consumer's name."""

    pending: int
    """Entries that it has not acknowledged."""

    idle_ms: int
    """For how long it has asked for nothing, in milliseconds."""


class PendingEntry(Struct, frozen=True, kw_only=True):
    """One entry that was delivered and not acknowledged."""

    channel: str
    """The channel's value."""

    group: str
    """The group's name."""

    entry_id: str
    """The entry."""

    consumer: str
    """Who has it."""

    idle_ms: int
    """When it was delivered last, in milliseconds ago."""

    deliveries: int
    """How often it was delivered."""


def ms_of(entry_id: str) -> int:
    """Return when an entry was added, in milliseconds since 1970, by the server's clock."""
    return int(entry_id.partition("-")[0])


def id_order(entry_id: str) -> tuple[int, int]:
    """Return what entry ids are sorted by."""
    milliseconds, _, number = entry_id.partition("-")
    return int(milliseconds), int(number or 0)


def next_id(entry_id: str) -> str:
    """Return the smallest id that is greater."""
    milliseconds, number = id_order(entry_id)
    return f"{milliseconds}-{number + 1}"


def previous_id(entry_id: str) -> str:
    """Return the greatest id that is smaller; for `0-0` itself."""
    milliseconds, number = id_order(entry_id)
    if number or not milliseconds:
        return f"{milliseconds}-{max(0, number - 1)}"
    return f"{milliseconds - 1}-{2**64 - 1}"
