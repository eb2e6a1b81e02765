"""How a process of production logs: to stderr, as text or as one JSON object a line."""

import logging
import traceback
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from domainstream.event import CorrelationFilter

OURS: Final = "domainstream_"
"""What the names of a record's own fields begin with; see `domainstream.telemetry`."""

_TEXT: Final = "%(asctime)s %(levelname)s %(name)s %(message)s [%(correlation_id)s]"


class JsonFormatter(logging.Formatter):
    """One object a line: time, level, logger, message, correlation id, a signal's fields, and an error's trace."""

    def format(self, record: logging.LogRecord) -> str:
        """Return a record as JSON."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "correlation_id": getattr(record, "correlation_id", "-"),
        }
        line |= {name.removeprefix(OURS): str(value) for name, value in vars(record).items() if name.startswith(OURS)}
        if record.exc_info:
            line["trace"] = "".join(traceback.format_exception(*record.exc_info))
        return msgspec.json.encode(line).decode()


def set_up_logs(*, as_json: bool, quiet: bool, verbose: int) -> None:
    """Log to stderr: information of domainstream and warnings of others; less when quiet, more when verbose."""
    handler = logging.StreamHandler()
    handler.addFilter(CorrelationFilter())
    handler.setFormatter(JsonFormatter() if as_json else logging.Formatter(_TEXT))
    logging.basicConfig(handlers=[handler], level=logging.INFO if verbose > 1 else logging.WARNING, force=True)
    level = logging.WARNING if quiet else logging.DEBUG if verbose else logging.INFO
    logging.getLogger("domainstream").setLevel(level)
