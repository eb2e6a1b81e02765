"""Takes a docstring apart: what it says of the whole, and of each field."""

import inspect
import re
from collections.abc import Iterator
from typing import Final, NamedTuple

_SECTION: Final = re.compile(r"(Attributes|Args|Fields):[ \t]*")
_FIELD: Final = re.compile(r"(?P<names>\w+(?:, \w+)*)(?: \([^)]*\))?:(?: +(?P<text>.*))?")


class Docstring(NamedTuple):
    """The parts of a docstring."""

    description: str
    """What it says of the whole."""

    fields: dict[str, str]
    """What it says of each field, by name."""


def parse_docstring(text: str) -> Docstring:
    """Take apart a docstring written in Google's style."""
    lines = inspect.cleandoc(text).splitlines()
    start = next((number for number, line in enumerate(lines) if _SECTION.fullmatch(line)), None)
    if start is None:
        return Docstring("\n".join(lines).strip(), {})
    body = lines[start + 1 :]
    end = next((number for number, line in enumerate(body) if line.strip() and not line[0].isspace()), len(body))
    rest = [*lines[:start], *body[end:]]
    return Docstring("\n".join(rest).strip(), dict(_fields(body[:end])))


def _fields(lines: list[str]) -> Iterator[tuple[str, str]]:
    indent = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    names: list[str] = []
    said: list[str] = []
    for line in lines:
        found = _FIELD.fullmatch(line[indent:])
        if found:
            yield from ((name, " ".join(said)) for name in names)
            names, said = found["names"].split(", "), [found["text"]] if found["text"] else []
        elif line.strip():
            said.append(line.strip())
    yield from ((name, " ".join(said)) for name in names)
