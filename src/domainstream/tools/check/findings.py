"""What `check` reports: what is wrong, where, and how to fix it."""

from dataclasses import dataclass
from typing import NamedTuple


class Location(NamedTuple):
    """A position in one of the system's files."""

    path: str
    """Relative to the root, with `/`."""

    line: int = 1
    """From 1."""

    column: int = 1
    """From 1, in characters."""


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One thing that is wrong. Findings sort by location."""

    location: Location
    """Where it is."""

    code: str
    """The rule's, such as "DS401"; its page is `docs/rules/DS401.md`."""

    message: str
    """What is wrong, and why where that is not obvious."""

    fix: str
    """What to change."""

    @property
    def path(self) -> str:
        """The file, relative to the root, with `/`."""
        return self.location.path

    @property
    def line(self) -> int:
        """The line, from 1."""
        return self.location.line

    @property
    def column(self) -> int:
        """The column, from 1."""
        return self.location.column

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column} {self.code} {self.message}"


class RawFinding(NamedTuple):
    """What a rule yields: a finding that does not have the rule's code yet."""

    location: Location
    """Where it is."""

    message: str
    """What is wrong, and why where that is not obvious."""

    fix: str
    """What to change."""
