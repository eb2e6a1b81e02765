"""Emits signals as log records."""

import logging
from typing import Final

from domainstream.telemetry.signals import Signal

FIELD_PREFIX: Final = "domainstream_"
"""Keeps the names of a signal's fields apart from a log record's own attributes."""


def emit(signal: Signal, /, *, exc: BaseException | None = None, **fields: object) -> None:
    """Log `signal` with its fields, which are those of its row in the table, unless its level is off.

    With `exc` the record also carries the traceback.
    """
    logger = logging.getLogger(signal.logger)
    if logger.isEnabledFor(signal.level):
        text = "".join(f" {name}={value}" for name, value in fields.items())
        extra = {f"{FIELD_PREFIX}{name}": value for name, value in fields.items()}
        logger.log(signal.level, "%s%s", signal.value, text, exc_info=exc, extra=extra, stacklevel=2)
