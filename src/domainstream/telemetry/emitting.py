"""Emits signals: they are log records.

A signal's name is the first word of the message. Its fields follow as `name=value` and are also in the record's
`extra`, prefixed with `domainstream_`. Loggers are named `domainstream.{stage}`.
"""

import logging
from typing import Final

from domainstream.telemetry.signals import Signal
from domainstream.text import described, printable

FIELD_PREFIX: Final = "domainstream_"
"""Keeps the names of a signal's fields apart from a log record's own attributes."""


def emit(signal: Signal, /, *, exc: BaseException | None = None, **fields: object) -> None:
    """Log `signal` with its fields, which are those of its row in the table, unless its level is off.

    The message is one line whatever the fields hold; the record has the fields as they are, but errors as text. With
    `exc` it also carries the traceback.
    """
    logger = logging.getLogger(signal.logger)
    if logger.isEnabledFor(signal.level):
        fields = {
            name: described(value) if isinstance(value, BaseException) else value for name, value in fields.items()
        }
        text = printable("".join(f" {name}={value}" for name, value in fields.items()))
        extra = {f"{FIELD_PREFIX}{name}": value for name, value in fields.items()}
        logger.log(signal.level, "%s%s", signal.value, text, exc_info=exc, extra=extra, stacklevel=2)
