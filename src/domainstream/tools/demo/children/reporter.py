"""Collects the reports of a child and writes them, one per line."""

import os

from domainstream.tools.demo.reports import Report, write_report


class Reporter:
    """Collects the news of a child."""

    def __init__(self, file_descriptor: int) -> None:
        self._file_descriptor = file_descriptor
        self.pending = Report()
        """The report that is not written yet; add to it."""

    def flush(self) -> None:
        """Write the pending report, if it is not empty. Raises `BrokenPipeError` when the parent has ended."""
        if self.pending == Report():
            return
        line, self.pending = write_report(self.pending) + b"\n", Report()
        while line:
            line = line[os.write(self._file_descriptor, line) :]
