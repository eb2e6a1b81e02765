"""How a dead letter is written down."""

from typing import Final

from domainstream.stream.port import DeadLetter

SUFFIX: Final = ":dead"
"""What a channel's dead letters' key ends with, after the key of its stream."""


def dead_letter_fields(letter: DeadLetter, group: str) -> list[str | bytes]:
    """Return the names and values of a dead letter's fields.

    They are `error` (a class of `domainstream.errors`), `reason`, `channel`, `group`, `entry_id` (of the original
    entry) and, when the original entry had it, `data`, unchanged.
    """
    delivery = letter.delivery
    fields: list[str | bytes] = ["error", letter.error, "reason", letter.reason, "channel", delivery.channel]
    fields += ["group", group, "entry_id", delivery.entry_id]
    return fields if delivery.data is None else [*fields, "data", delivery.data]
