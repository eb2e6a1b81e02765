"""The script call that adds one batch: its text, its arguments and its reply."""

import secrets
from collections.abc import Sequence
from datetime import timedelta
from functools import cached_property
from typing import Final

from domainstream.publisher.pending import Batch
from domainstream.publisher.retention import Retention
from domainstream.publisher.settings import PublisherSettings
from domainstream.redis.keys import companion_key, stream_key
from domainstream.redis.link import Arguments
from domainstream.redis.scripts import Script, lua_text

RETENTION: Final = lua_text("domainstream.publisher", "retention")
"""The part of Lua that says which entries may go; the trimmer's script has it too."""

PUBLISH_BATCH: Final = Script.of(lua_text("domainstream.publisher", "publish_batch", retention=RETENTION))


class BatchCalls:
    """Makes the script calls of one producer, and counts the sequence of each channel's batches."""

    def __init__(self, settings: PublisherSettings) -> None:
        self._prefix = settings.prefix
        self._producer_id = settings.producer_id
        self._sequences: dict[str, int] = {}
        self._limits = (milliseconds(settings.dedup_window), *retention_arguments(settings.retention))

    @cached_property
    def _last_batch_name(self) -> str:
        """Drawn with the first batch: neither one setting's clients nor forked processes may take each other's ids."""
        token = secrets.token_hex(8)
        return f"producer:{token}" if self._producer_id is None else f"producer:{self._producer_id}:{token}"

    def arguments(self, batch: Batch) -> Arguments:
        """Return the keys and arguments of the channel's next batch; sending them again adds no second entry."""
        sequence = self._sequences[batch.channel] = self._sequences.get(batch.channel, 0) + 1
        key = stream_key(batch.channel, self._prefix)
        last_batch = companion_key(key, self._last_batch_name)
        return ("2", key, last_batch, str(sequence), *self._limits, *[message.data for message in batch.messages])


def entry_ids(reply: Sequence[bytes], count: int) -> list[str]:
    """Return the ids of `count` entries; the script shortens a gapless run to its first and last id."""
    if len(reply) == count:
        return [entry_id.decode() for entry_id in reply]
    ms, _, number = reply[0].decode().partition("-")
    first = int(number)
    return [f"{ms}-{number}" for number in range(first, first + count)]


def retention_arguments(retention: Retention) -> tuple[str, str, str]:
    """Return a retention as scripts take it: max_age and max_unread_age in ms, max_length; empty for no limit."""
    length = "" if retention.max_length is None else str(retention.max_length)
    return (milliseconds(retention.max_age), milliseconds(retention.max_unread_age), length)


def milliseconds(duration: timedelta | None) -> str:
    """Return a duration as scripts take it, at least 1 ms; empty for None."""
    return "" if duration is None else str(max(1, round(duration / timedelta(milliseconds=1))))
