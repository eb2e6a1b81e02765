"""`docs/telemetry.md` lists exactly the signals, spans, attributes and metrics of the tables."""

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import pytest

from domainstream.telemetry import Attribute, Metric, Signal, Span
from domainstream.telemetry.spans import METRIC_ATTRIBUTES

PAGE: Final = Path(__file__).parents[2] / "docs" / "telemetry.md"


def quoted(names: Iterable[str]) -> str:
    """Return names as the page shows them."""
    return ", ".join(f"`{name}`" for name in names)


def row(signal: Signal) -> str:
    """Return the page's row for a signal."""
    level = logging.getLevelName(signal.level)
    return f"| `{signal.value}` | {level} | {quoted(signal.fields)} | {signal.meaning} |"


def span_row(span: Span) -> str:
    """Return the page's row for a span."""
    name = f"{span.operation} {{{'queue' if span is Span.PROCESS else 'channel'}}}"
    attributes, metrics = quoted(span.attributes), quoted(metric.value for metric in span.metrics)
    return f"| `{span.value}` | `{name}` | {span.kind} | {attributes} | {metrics} | {span.meaning} |"


def attribute_row(attribute: Attribute) -> str:
    """Return the page's row for an attribute."""
    return f"| `{attribute}` | {attribute.meaning} |"


def metric_row(metric: Metric) -> str:
    """Return the page's row for a metric."""
    return f"| `{metric.value}` | {metric.instrument} | {metric.unit} | {metric.meaning} |"


def rows_behind(start: str, end: str = "") -> list[str]:
    """Return the rows of the tables from one text of the page to another, or to its end."""
    text = PAGE.read_text(encoding="utf-8").partition(start)[2]
    part = text.partition(end)[0] if end else text
    return [line for line in part.splitlines() if line.startswith("| `")]


def test_page_lists_every_signal_once_in_the_order_of_the_table() -> None:
    """The rows of the page are the rows of `Signal`, one each, in the same order."""
    assert rows_behind("## Signals", "## Spans") == [row(signal) for signal in Signal]


@pytest.mark.parametrize(
    ("start", "end", "rows"),
    [
        ("## Spans", "| attribute |", [span_row(span) for span in Span]),
        ("| attribute |", "## Metrics", [attribute_row(attribute) for attribute in Attribute]),
        ("## Metrics", "", [metric_row(metric) for metric in Metric]),
    ],
)
def test_page_lists_spans_attributes_and_metrics(start: str, end: str, rows: list[str]) -> None:
    """The rows of the page are the rows of the tables, one each, in the same order."""
    assert rows_behind(start, end) == rows


def test_page_lists_the_attributes_of_metrics() -> None:
    """Who builds a dashboard finds what metrics can be grouped by."""
    assert f"Their attributes are {quoted(METRIC_ATTRIBUTES)}, where" in PAGE.read_text(encoding="utf-8")


def test_page_names_every_logger() -> None:
    """Every logger that a signal goes to has a heading of its own."""
    text = PAGE.read_text(encoding="utf-8")
    loggers = {signal.logger for signal in Signal}
    assert {name for name in loggers if f"\n## `{name}`\n" not in text} == set()
