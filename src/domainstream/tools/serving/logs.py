"""Sets up the logs of a production process: to stderr, as text or as one JSON object per line."""

import logging
import traceback
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from domainstream.event import CorrelationFilter
from domainstream.telemetry import FIELD_PREFIX
from domainstream.text import printable

_TEXT: Final = "%(asctime)s %(levelname)s %(name)s %(message)s [%(correlation_id)s]"


class TextFormatter(logging.Formatter):
    """Formats a record as one line, which nothing in it can break, and its traceback as indented lines below."""

    def __init__(self) -> None:
        super().__init__(_TEXT)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - overridden
        """Return the line of a record."""
        return printable(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802 - overridden
        """Return a traceback; the messages in it may hold anything."""
        lines = super().formatException(ei).split("\n")
        return "\n".join(f"  {printable(line)}" for line in lines)


class JsonFormatter(logging.Formatter):
    """Formats a record as one JSON line: time, level, logger, message, correlation id, signal fields and traceback.

    In a span, its `trace_id` and `span_id` as well.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return a record as JSON."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "correlation_id": getattr(record, "correlation_id", "-"),
        }
        line |= {name: given for name in ("trace_id", "span_id") if (given := getattr(record, name, "-")) != "-"}
        fields = {name: value for name, value in vars(record).items() if name.startswith(FIELD_PREFIX)}
        line |= {name.removeprefix(FIELD_PREFIX): str(value) for name, value in fields.items()}
        if record.exc_info:
            line["trace"] = "".join(traceback.format_exception(*record.exc_info))
        return msgspec.json.encode(line).decode()


def set_up_logs(*, as_json: bool, quiet: bool, verbose: int) -> None:
    """Log to stderr: INFO of domainstream and WARNING of other libraries; less when quiet, more when verbose."""
    handler = logging.StreamHandler()
    handler.addFilter(CorrelationFilter())
    handler.setFormatter(JsonFormatter() if as_json else TextFormatter())
    logging.basicConfig(handlers=[handler], level=logging.INFO if verbose > 1 else logging.WARNING, force=True)
    level = logging.WARNING if quiet else logging.DEBUG if verbose else logging.INFO
    logging.getLogger("domainstream").setLevel(level)
