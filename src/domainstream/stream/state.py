"""The state of streams and groups, as inspections return it, and the arithmetic of entry ids."""

from msgspec import Struct


class StreamState(Struct, frozen=True, kw_only=True):
    """One channel's stream."""

    channel: str
    """The channel's value."""

    length: int
    """How many entries it holds."""

    added: int | None
    """How many entries were ever added; None where the server does not count them."""

    groups: int
    """How many consumer groups read it."""

    first_id: str
    """The id of the oldest entry; empty when there is none."""

    last_id: str
    """The id of the newest entry that was ever added; `0-0` before the first."""


class GroupState(Struct, frozen=True, kw_only=True):
    """The progress of one consumer group on one channel."""

    channel: str
    """The channel's value."""

    group: str
    """The group's name."""

    consumers: int
    """How many consumers it has, idle ones included."""

    unread: int
    """How many entries of the stream were not delivered yet."""

    pending: int
    """How many entries were delivered and not acknowledged."""

    lag: int
    """How many entries are not settled yet: unread and pending."""

    lost: int
    """How many entries were removed unread since the group's last read."""

    oldest_ms: int | None
    """The age of the oldest entry that is not settled, in milliseconds; None without any."""

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
    """How many entries it has not acknowledged."""

    idle_ms: int
    """How long ago it last read, in milliseconds."""

    owner: str = ""
    """The instance that reads as this consumer now; empty if none does, and for consumers of other programs."""


class LeaseState(Struct, frozen=True, kw_only=True):
    """Which instance has the lease of a channel, and so reads it for a group."""

    channel: str
    """The channel's value."""

    group: str
    """The group's name."""

    owner: str
    """The instance: its name, and a token that no other instance has."""

    subscriptions: str
    """The digest of its subscriptions."""


class PendingEntry(Struct, frozen=True, kw_only=True):
    """One entry that was delivered and not acknowledged."""

    channel: str
    """The channel's value."""

    group: str
    """The group's name."""

    entry_id: str
    """The entry's id."""

    consumer: str
    """The consumer that it was delivered to last."""

    idle_ms: int
    """How long ago it was delivered last, in milliseconds."""

    deliveries: int
    """How often it was delivered."""


def ms_of(entry_id: str) -> int:
    """Return when an entry was added, in milliseconds since 1970, on the server's clock."""
    return int(entry_id.partition("-")[0])


def id_order(entry_id: str) -> tuple[int, int]:
    """Return the sort key of an entry id."""
    milliseconds, _, number = entry_id.partition("-")
    return int(milliseconds), int(number or 0)


def next_id(entry_id: str) -> str:
    """Return the smallest id greater than this one."""
    milliseconds, number = id_order(entry_id)
    return f"{milliseconds}-{number + 1}"


def previous_id(entry_id: str) -> str:
    """Return the greatest id smaller than this one; for `0-0`, `0-0` itself."""
    milliseconds, number = id_order(entry_id)
    if number or not milliseconds:
        return f"{milliseconds}-{max(0, number - 1)}"
    return f"{milliseconds - 1}-{2**64 - 1}"
