"""Log records have the ids of the span in which they were made."""

import json
import logging

from support.spans import Recording

from domainstream.event import CorrelationFilter
from domainstream.tools.serving.logs import JsonFormatter


def filtered(**fields: str) -> logging.LogRecord:
    """Return a record as a handler with our filter sees it."""
    record = logging.LogRecord("app", logging.INFO, __file__, 1, "priced", (), None)
    vars(record).update(fields)
    CorrelationFilter().filter(record)
    return record


def test_filter_adds_the_ids_of_the_current_span(recorded: Recording) -> None:
    """They are in the form in which tools search for them: 32 and 16 digits."""
    with recorded.app.start_as_current_span("request") as span:
        record = vars(filtered())

    context = span.get_span_context()
    assert record["trace_id"] == f"{context.trace_id:032x}"
    assert record["span_id"] == f"{context.span_id:016x}"


def test_outside_of_a_span_the_ids_are_absent(recorded: Recording) -> None:
    """A format that names them works anywhere."""
    assert (vars(filtered())["trace_id"], vars(filtered())["span_id"]) == ("-", "-")


def test_filter_keeps_ids_that_a_record_has(recorded: Recording) -> None:
    """Another filter may know better."""
    with recorded.app.start_as_current_span("request"):
        assert vars(filtered(trace_id="own"))["trace_id"] == "own"


def test_json_line_has_the_ids_in_a_span(recorded: Recording) -> None:
    """They are members of their own."""
    with recorded.app.start_as_current_span("request") as span:
        line = json.loads(JsonFormatter().format(filtered()))

    context = span.get_span_context()
    assert (line["trace_id"], line["span_id"]) == (f"{context.trace_id:032x}", f"{context.span_id:016x}")


def test_json_line_has_no_ids_outside_of_a_span(recorded: Recording) -> None:
    """Without a span there is nothing to say."""
    assert {"trace_id", "span_id"}.isdisjoint(json.loads(JsonFormatter().format(filtered())))
