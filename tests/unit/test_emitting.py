"""A signal becomes one line of a log, whatever its fields hold."""

import json
import logging
from typing import Any

import pytest

from domainstream.telemetry import Signal, emit
from domainstream.tools.serving.logs import JsonFormatter, TextFormatter

FORGED = "stay-1\n2026-01-01 ERROR domainstream.worker worker.gave_up \x1b[31m\u202e"


def emitted(caplog: pytest.LogCaptureFixture, **fields: Any) -> logging.LogRecord:
    """Emit a signal with these fields and return its record."""
    with caplog.at_level(logging.DEBUG, logger=Signal.WORKER_JOB_STALLED.logger):
        emit(Signal.WORKER_JOB_STALLED, **fields)  # the table's fields are held by the architecture tests
    return caplog.records[-1]


def test_field_cannot_forge_a_line(caplog: pytest.LogCaptureFixture) -> None:
    """Line breaks and control characters of an id are escaped in the message."""
    message = emitted(caplog, queue="valuation", job=FORGED).getMessage()
    assert message.isprintable()
    assert "job=stay-1\\n2026" in message


def test_record_keeps_the_field_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    """Handlers that write JSON or send records elsewhere get the value itself."""
    assert vars(emitted(caplog, queue="valuation", job=FORGED))["domainstream_job"] == FORGED


def test_error_as_a_field_is_never_empty(caplog: pytest.LogCaptureFixture) -> None:
    """An error without a message is shown by its type, in the message and in the record."""
    record = emitted(caplog, queue="valuation", job=TimeoutError())
    assert record.getMessage().endswith("job=TimeoutError")
    assert vars(record)["domainstream_job"] == "TimeoutError"


def test_text_log_is_one_line_per_record(caplog: pytest.LogCaptureFixture) -> None:
    """Records of other libraries are escaped too, and so is the correlation id, which comes from messages."""
    record = logging.LogRecord("other", logging.WARNING, __file__, 1, "got %s", (FORGED,), None)
    record.correlation_id = FORGED
    assert TextFormatter().format(record).isprintable()


def test_control_default_formatter_lets_a_message_forge_a_line() -> None:
    """Control: logging's own formatter writes the line break."""
    record = logging.LogRecord("other", logging.WARNING, __file__, 1, "got %s", (FORGED,), None)
    assert "\n2026-01-01 ERROR" in logging.Formatter("%(message)s").format(record)


def test_traceback_cannot_forge_a_line() -> None:
    """Every line of a traceback is indented, so that a message in it does not look like a record."""
    with pytest.raises(ValueError, match="stay-1") as raised:
        int(FORGED)
    error = raised.value
    info = (type(error), error, error.__traceback__)
    record = logging.LogRecord("other", logging.ERROR, __file__, 1, "failed", (), info)
    record.correlation_id = "-"
    _, *trace = TextFormatter().format(record).split("\n")
    assert len(trace) > 3
    assert all(line.startswith("  ") and line.isprintable() for line in trace)


def test_json_log_holds_the_fields_as_they_are(caplog: pytest.LogCaptureFixture) -> None:
    """JSON has its own escapes, so that programs read the exact value."""
    line = JsonFormatter().format(emitted(caplog, queue="valuation", job=FORGED))
    assert "\n" not in line
    assert json.loads(line)["job"] == FORGED
