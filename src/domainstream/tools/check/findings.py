"""What `check` reports: one mistake, where it stands, and what to type. Made by the rules; next: `formats`. Pure."""

from dataclasses import dataclass
from typing import NamedTuple


class Place(NamedTuple):
    """A place in the system's files.

    Attributes:
        path: Relative to the root, with `/`.

        line: From 1.

        column: From 1, in characters.
    """

    path: str
    line: int = 1
    column: int = 1


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One mistake. Findings sort by place.

    Attributes:
        place: Where it stands.

        code: The rule's, such as "DS401"; its page is `docs/rules/DS401.md`.

        message: What is wrong, and why where that is not plain.

        fix: What to type.
    """

    place: Place
    code: str
    message: str
    fix: str

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
    """What a rule finds: a finding without the rule's code.

    Attributes:
        place: Where it stands.

        message: What is wrong, and why where that is not plain.

        fix: What to type.
    """

    place: Place
    message: str
    fix: str
