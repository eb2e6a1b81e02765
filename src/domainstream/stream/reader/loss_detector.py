"""Finds out what a group lost to trimming before it could read it."""

from collections.abc import Iterable
from datetime import timedelta
from importlib.resources import files
from time import monotonic
from typing import Any, Final

from domainstream.redis.link import Arguments
from domainstream.stream.port import Loss
from domainstream.stream.reader.group_streams import RedisGroupStreams

SCRIPT: Final = files("domainstream.stream.reader").joinpath("loss_detector.lua").read_text(encoding="utf-8")

FEW: Final = 16
"""So many channels are checked before every read."""

PAUSE_PER_CHANNEL: Final = timedelta(milliseconds=0.1)
"""The pause between two checks of more: a channel costs the server 3 microseconds, so it takes it some 3 per cent."""


class RedisLossDetector:
    """Puts a check in front of a read.

    The server's counters tell exactly how many entries went unread. It finds nothing on servers before Redis 7.0, which
    have no counters; nor where a read went past the gap before a check saw it, since trimming happened while the read
    was blocked, in one step with adding, or, with more than 16 channels, since the last check; nor where somebody
    deleted single unread entries with XDEL, until the group has read everything, since the server loses count then.

    Redis 7.0 forgets what was read since the last check when it restarts or fails over. Should entries be lost right
    then, before the group has caught up, so many too many may be told.
    """

    def __init__(self, streams: RedisGroupStreams) -> None:
        self._streams = streams
        self._indexes = {key: index for index, key in enumerate(streams.channels, start=1)}
        count = len(streams.channels)
        self._pause = PAUSE_PER_CHANNEL.total_seconds() * count if count > FEW else 0.0
        self._next = 0.0
        self._read_lately: set[int] = set()

    def check(self) -> Arguments | None:
        """Return the command to send in front of the next read; None while no check is due.

        The script goes out with its text: called by its hash it might be missing, and what is read behind it would come
        unchecked.
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
            Loss(channels[index - 1], group, count, after.decode(), before.decode())
            for index, count, after, before in reply
        ]

    def note_reads(self, keys: Iterable[bytes]) -> None:
        """Remember that something of these streams was read."""
        self._read_lately.update(self._indexes[key] for key in keys)
