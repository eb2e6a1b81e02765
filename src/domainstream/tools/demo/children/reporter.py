"""Collects what a child has to report and writes it out, a line at a time."""

import os

from domainstream.tools.demo.reports import Report, write_report


class Reporter:
    """Where a child's work puts its news."""

    def __init__(self, file_descriptor: int) -> None:
        self._file_descriptor = file_descriptor
        self.pending = Report()
        """What has not been written yet; add to it."""

    def flush(self) -> None:
        """Write the news, if there are any. Raises `BrokenPipeError` when nobody reads any more."""
        if self.pending == Report():
            return
        line, self.pending = write_report(self.pending) + b"\n", Report()
        while line:
            line = line[os.write(self._file_descriptor, line) :]
