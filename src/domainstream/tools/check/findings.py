"""What `check` reports: one mistake, where it stands, and what to type."""

from dataclasses import dataclass
from typing import NamedTuple


class Place(NamedTuple):
    """A place in the system's files."""

    path: str
    """Relative to the root, with `/`."""

    line: int = 1
    """From 1."""

    column: int = 1
    """From 1, in characters."""


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One mistake. Findings sort by place."""

    place: Place
    """Where it stands."""

    code: str
    """The rule's, such as "DS401"; its page is `docs/rules/DS401.md`."""

    message: str
    """What is wrong, and why where that is not plain."""

    fix: str
    """What to type."""

    @property
    def path(self) -> str:
        """The file, relative to the root, with `/`."""
        return self.place.path

    @property
    def line(self) -> int:
        """The line, from 1."""
        return self.place.line

    @property
    def column(self) -> int:
        """The column, from 1."""
        return self.place.column

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column} {self.code} {self.message}"


class Mistake(NamedTuple):
    """What a rule finds: a finding without the rule's code."""

    place: Place
    """Where it stands."""

    message: str
    """What is wrong, and why where that is not plain."""

    fix: str
    """What to type."""
