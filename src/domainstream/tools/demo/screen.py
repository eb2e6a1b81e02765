"""Shows the demo as a live table and a final summary. The only module that imports rich."""

import os
import sys
import webbrowser
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from domainstream.tools.common.percentiles import percentile
from domainstream.tools.demo.tally import DemoOutcome, FailoverOutcome, Tally

_WIDTH_OF_FILES = 120
_WIDTH_OF_ALL_COLUMNS = 80


class DemoScreen:
    """A live table on a terminal, and only warnings elsewhere. The table stays after the context manager has exited."""

    def __init__(self, *, no_color: bool, stderr: bool) -> None:
        # Without a colour system rich sends no styles at all; `no_color` would leave bold and italics.
        plain = no_color or bool(os.environ.get("NO_COLOR"))
        console = Console(color_system=None if plain else "auto", stderr=stderr, highlight=False)
        if not console.is_terminal:
            console.width = _WIDTH_OF_FILES
        self._console = console
        self._live = Live(console=console, auto_refresh=False)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def wait(self, what: str) -> None:
        """Say what is being done, until there is a table to show."""
        if self._console.is_terminal:
            self._live.update(what, refresh=True)

    def show(self, tally: Tally, lengths: dict[str, int], note: str = "") -> None:
        """Update the table, and a note below it.

        `lengths` has the length of each channel's stream, and is empty before the start.
        """
        if not self._console.is_terminal:
            return
        if not lengths:
            self.wait("Starting the subscriber and the services ...")
            return
        shown = 2 if self._console.width < _WIDTH_OF_ALL_COLUMNS else 5
        columns = ["published", "handled", "in stream", "p50 ms", "p99 ms"]
        table = _table("From event to handler", ["channel"], columns[:shown])
        for channel, length in lengths.items():
            milliseconds = tally.milliseconds(channel)
            handled = sum(tally.handled(each) for each in tally.subscriptions if each.channel == channel)
            numbers = [f"{number:,}" for number in (tally.published(channel), handled, length)]
            times = [_time(percentile(milliseconds, percent)) for percent in (50, 99)]
            table.add_row(channel, *[*numbers, *times][:shown])
        self._live.update(Group(table, Text(note, style="yellow")), refresh=True)

    def announce(self, address: str) -> None:
        """Say where the dashboard is, and open it where there is a desktop."""
        if not self._console.is_terminal:
            self.say(f"{address} shows the demo until it is interrupted.")
        if sys.platform == "darwin" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
            webbrowser.open(address)

    def say(self, sentence: str) -> None:
        """Print a sentence."""
        self._console.print(escape(sentence), soft_wrap=True)

    def warn(self, problem: str) -> None:
        """Print a problem."""
        self._console.print(f"[yellow]{escape(problem)}[/]", soft_wrap=True)

    def summarise(self, outcome: DemoOutcome) -> None:
        """Print the result of the run: a table, then in words, then its problems."""
        table = _table("Every subscription", ["channel", "queue:job"], ["published", "handled", ""])
        for each in outcome.subscriptions:
            sign = "[green]=[/]" if each.published == each.handled else "[red]≠[/]"
            table.add_row(each.channel, f"{each.queue}:{each.job}", f"{each.published:,}", f"{each.handled:,}", sign)
        self._console.print(table)
        self._console.print(
            f"{outcome.published:,} events published and {outcome.handled:,} handled in {outcome.seconds} s; "
            f"{outcome.not_published:,} stayed inside their service, {outcome.failed:,} failed, "
            f"{outcome.duplicates:,} repeated.\n"
            f"From event to the end of its handler: half within {_time(outcome.p50_ms)} ms, "
            f"99 of 100 within {_time(outcome.p99_ms)} ms, on {escape(outcome.server)}.",
            soft_wrap=True,
        )
        if outcome.failed_on_purpose:
            self._console.print(
                f"Handlers that failed at first while their stay was coded again and cancelled: "
                f"{outcome.failed_on_purpose:,}; "
                f"events overtaken by a later one of their aggregate: {outcome.overtaken:,}"
                + ("." if outcome.in_order else ", without the rule that keeps them in order."),
                soft_wrap=True,
            )
        if outcome.failover is not None:
            story = _story(outcome.failover)
            self._console.print(story if outcome.problems else f"{story} Nothing was lost.", soft_wrap=True)
        for problem in outcome.problems:
            self._console.print(f"[red]{escape(problem)}[/]", soft_wrap=True)


def _story(failover: FailoverOutcome) -> str:
    """Say in a sentence what came of the death of a primary."""
    again = failover.published_again_s
    return (
        f"The primary at {failover.killed} was killed after {failover.after_published:,} events; "
        f"{failover.successor} took over after {failover.took_over_s:.1f} s"
        + (f", and its events were published again after {again:.1f} s." if again is not None else ".")
    )


def _table(title: str, names: Iterable[str], numbers: Iterable[str]) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for name in names:
        table.add_column(name, overflow="fold")
    for number in numbers:
        table.add_column(number, justify="right", no_wrap=True)
    return table


def _time(milliseconds: float | None) -> str:
    return "-" if milliseconds is None else f"{milliseconds:.1f}"
