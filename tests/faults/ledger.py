"""Records what happened outside of Redis: one file for each kind of event, to which all processes append."""

import os
from dataclasses import dataclass
from pathlib import Path

PUBLISHED = "published"
"""What the server acknowledged: channel and event id, in the order of publishing."""

COMMITTED = "committed"
"""What a database acknowledged: event id, and when, in seconds since 1970."""

UNCERTAIN = "uncertain"
"""Events whose outcome is unknown: the event's id, and the class of the error."""

REFUSED = "refused"
"""Events that were certainly not published: the event's id, and the class of the error."""

BEGUN = "begun"
"""Handlers that began: queue, channel and event id."""

HANDLED = "handled"
"""Handlers that finished: queue, channel and event id."""

TIMED = "timed"
"""The latency of an event, from when it occurred to the end of its handler, in seconds."""

STOPPED = "stopped"
"""Programs that ended gracefully: the name, and how many entries or jobs it has done."""

LOST = "lost"
"""Losses that a subscriber reported: channel, count, the ids around them."""


@dataclass(frozen=True)
class Ledger:
    """The folder of these files. Once `note` has returned, its lines survive the kill of any process."""

    folder: Path
    """Where the files are; it must exist."""

    def note(self, kind: str, *lines: str) -> None:
        """Append lines atomically."""
        file = os.open(self.folder / kind, os.O_APPEND | os.O_CREAT | os.O_WRONLY)
        try:
            os.write(file, "".join(f"{line}\n" for line in lines).encode())
        finally:
            os.close(file)

    def read(self, kind: str) -> list[str]:
        """Return the lines of a kind, oldest first."""
        return self._text(kind).splitlines()

    def count(self, kind: str) -> int:
        """Count the lines of a kind."""
        return self._text(kind).count("\n")

    def _text(self, kind: str) -> str:
        path = self.folder / kind
        return path.read_text(encoding="utf-8") if path.exists() else ""
