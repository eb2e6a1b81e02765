"""What happened, written down outside of Redis: one file for each kind of thing, appended to by all processes."""

import os
from dataclasses import dataclass
from pathlib import Path

PUBLISHED = "published"
"""What the server acknowledged: channel and event id, in the order of publishing."""

UNCERTAIN = "uncertain"
"""What was neither acknowledged nor refused for certain: the event's id, and why."""

REFUSED = "refused"
"""What was certainly not published: the event's id, and the class of the error."""

BEGUN = "begun"
"""Handlers that began: queue, channel and event id."""

HANDLED = "handled"
"""Handlers that came to their end: queue, channel and event id."""

TIMED = "timed"
"""How long the way of an event was, from when it happened to the end of its handler: seconds."""

STOPPED = "stopped"
"""Programs that ended in order: who, and how many entries or jobs it has done."""

LOST = "lost"
"""Losses that a subscriber told: channel, count, the ids around them."""


@dataclass(frozen=True)
class Ledger:
    """A folder of such files. A line is in its file once `note` has returned, whoever is killed after that."""

    folder: Path
    """Where the files are; it must exist."""

    def note(self, kind: str, *lines: str) -> None:
        """Append lines in one piece."""
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
