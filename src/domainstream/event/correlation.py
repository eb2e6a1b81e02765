"""What is being handled, known to all code that runs because of it: events made there, and logs.

Context variables reach tasks and threads that are started inside.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

correlation_now: Final[ContextVar[str | None]] = ContextVar("domainstream_correlation_id", default=None)
"""The business transaction of the event that is being handled; None outside of handlers."""

causation_now: Final[ContextVar[str | None]] = ContextVar("domainstream_causation_id", default=None)
"""The id of the event that is being handled; None outside of handlers."""


@contextmanager
def correlation_scope(*, correlation_id: str, causation_id: str) -> Iterator[None]:
    """Give the events that are made in this block, and its log records, these two ids."""
    correlation, causation = correlation_now.set(correlation_id), causation_now.set(causation_id)
    try:
        yield
    finally:
        causation_now.reset(causation)
        correlation_now.reset(correlation)


class CorrelationFilter(logging.Filter):
    """Gives each log record `correlation_id` and `causation_id` of the event that is being handled.

    Usage::

        handler.addFilter(CorrelationFilter())
        handler.setFormatter(logging.Formatter("%(levelname)s %(message)s [%(correlation_id)s]"))

    Add it to log handlers rather than to loggers, whose filters do not see the records of loggers below them. A record
    that has the fields already keeps them.
    """

    def __init__(self, absent: str = "-") -> None:
        """Write `absent` where nothing is being handled."""
        super().__init__()
        self._absent = absent

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the fields and let the record pass."""
        for name, now in (("correlation_id", correlation_now), ("causation_id", causation_now)):
            if not hasattr(record, name):
                setattr(record, name, now.get() or self._absent)
        return True
