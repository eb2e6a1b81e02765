"""Finds out what a group lost to trimming before it could read it.

Redis says nothing when retention removes entries that a group has not read: the next read simply begins later. But its
counters of entries added and entries read give the loss exactly, if they are compared before the next delivery.
"""

from collections.abc import Iterable
from datetime import timedelta
from time import monotonic
from typing import Any, Final

from domainstream.redis.link import Arguments
from domainstream.redis.scripts import lua_text
from domainstream.stream.port import Loss
from domainstream.stream.reader.group_streams import RedisGroupStreams

_HERE: Final = "domainstream.stream.reader"

SCRIPT: Final = lua_text(_HERE, "loss_detector", group_state=lua_text(_HERE, "group_state"))

CHECK_ALWAYS_BELOW: Final = 17
"""Fewer channels than this are checked before every read."""

PAUSE_PER_CHANNEL: Final = timedelta(milliseconds=0.1)
"""The pause between two checks of more channels: checking one costs the server 3 µs, so about 3 % of its time."""


class RedisLossDetector:
    """Puts a check in front of a read.

    It finds nothing:

    - on servers before Redis 7.0, which have no counters;
    - where a read passed the gap before a check saw it, because trimming happened while the read was blocked, in one
      step with adding, or, with more than 16 channels, since the last check;
    - where single unread entries were deleted with XDEL, until the group has read everything: the server loses count.

    Redis 7.0 forgets what was read since the last check when it restarts or fails over. If entries are lost right then,
    before the group has caught up, the reported count may be too high by as many.
    """

    def __init__(self, streams: RedisGroupStreams) -> None:
        self._streams = streams
        self._indexes = {key: index for index, key in enumerate(streams.channels, start=1)}
        count = len(streams.channels)
        self._pause = PAUSE_PER_CHANNEL.total_seconds() * count if count >= CHECK_ALWAYS_BELOW else 0.0
        self._next = 0.0
        self._read_lately: set[int] = set()

    def check(self) -> Arguments | None:
        """Return the command to send in front of the next read; None while no check is due.

        It carries the script's text: if it were called by its hash, the script might be missing, and the read behind it
        would go unchecked.
        """
        now = monotonic()
        if now < self._next:
            return None
        self._next = now + self._pause
        return ("EVAL", SCRIPT, len(self._indexes), *self._indexes, self._streams.group, *self._read_lately)

    def losses(self, reply: Iterable[Any]) -> list[Loss]:
        """Return what a check found."""
        self._read_lately.clear()
        channels, group = list(self._streams.channels.values()), self._streams.group
        return [
            Loss(channels[index - 1], group, count, after.decode(), before.decode(), bool(before_group))
            for index, count, after, before, before_group in reply
        ]

    def note_reads(self, keys: Iterable[bytes]) -> None:
        """Remember that something of these streams was read."""
        self._read_lately.update(self._indexes[key] for key in keys)
