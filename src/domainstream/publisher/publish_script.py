"""The script call that adds one batch: its text, its arguments and its reply."""

import secrets
from collections.abc import Sequence
from datetime import timedelta
from functools import cached_property
from hashlib import sha1
from importlib.resources import files
from typing import Final

from domainstream.publisher.batch import Batch
from domainstream.publisher.settings import PublisherSettings
from domainstream.redis.keys import companion_key, stream_key

SCRIPT: Final = files("domainstream.publisher").joinpath("publish_batch.lua").read_bytes()
SHA: Final = sha1(SCRIPT, usedforsecurity=False).hexdigest().encode()

Command = tuple[bytes | str, ...]


class PublishScript:
    """Makes the commands of one producer. The sequence of each channel's batches is counted here."""

    def __init__(self, settings: PublisherSettings) -> None:
        self._prefix = settings.prefix
        self._producer_id = settings.producer_id
        self._sequences: dict[str, int] = {}
        retention = settings.retention
        self._limits = (
            _milliseconds(settings.memory),
            _milliseconds(retention.max_age),
            _milliseconds(retention.max_unread_age),
            "" if retention.max_length is None else str(retention.max_length),
        )

    @cached_property
    def _memory_name(self) -> str:
        """Drawn with the first batch: neither one setting's clients nor forked processes may take each other's ids."""
        token = secrets.token_hex(8)
        return f"producer:{token}" if self._producer_id is None else f"producer:{self._producer_id}:{token}"

    def command(self, batch: Batch) -> Command:
        """Return the EVALSHA of the channel's next batch; sending it again makes no second entry."""
        sequence = self._sequences[batch.channel] = self._sequences.get(batch.channel, 0) + 1
        key = stream_key(batch.channel, self._prefix)
        memory = companion_key(key, self._memory_name)
        data = [message.data for message in batch.messages]
        return (b"EVALSHA", SHA, b"2", key, memory, str(sequence), *self._limits, *data)


def with_text(command: Command) -> Command:
    """Return the same call with the script's text, for a server that does not have it (which it then keeps)."""
    return (b"EVAL", SCRIPT, *command[2:])


def entry_ids(reply: Sequence[bytes], count: int) -> list[str]:
    """Return the ids of `count` entries; the script shortens a gapless run to its first and last id."""
    if len(reply) == count:
        return [entry_id.decode() for entry_id in reply]
    milliseconds, _, number = reply[0].decode().partition("-")
    first = int(number)
    return [f"{milliseconds}-{number}" for number in range(first, first + count)]


def _milliseconds(duration: timedelta | None) -> str:
    return "" if duration is None else str(max(1, round(duration / timedelta(milliseconds=1))))
