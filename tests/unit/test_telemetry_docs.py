"""`docs/telemetry.md` lists exactly the signals of the table, with their levels, fields and meanings."""

import logging
from pathlib import Path
from typing import Final

from domainstream.telemetry import Signal

PAGE: Final = Path(__file__).parents[2] / "docs" / "telemetry.md"


def row(signal: Signal) -> str:
    """Return the page's row for a signal."""
    fields = ", ".join(f"`{name}`" for name in signal.fields)
    return f"| `{signal.value}` | {logging.getLevelName(signal.level)} | {fields} | {signal.meaning} |"


def test_page_lists_every_signal_once_in_the_order_of_the_table() -> None:
    """The rows of the page are the rows of `Signal`, one each, in the same order."""
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    assert rows == [row(signal) for signal in Signal]


def test_page_names_every_logger() -> None:
    """Every logger that a signal goes to has a heading of its own."""
    text = PAGE.read_text(encoding="utf-8")
    loggers = {signal.logger for signal in Signal}
    assert {name for name in loggers if f"\n## `{name}`\n" not in text} == set()
