"""Reads docstrings: what they say about a class, and about each of its fields.

Fields may be documented in a section of the class docstring, as in Google's style, or by a docstring under each field.
"""

import ast
import inspect
import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

_SECTION: Final = re.compile(r"(Attributes|Args|Fields):[ \t]*")
_FIELD: Final = re.compile(r"(?P<names>\w+(?:, \w+)*)(?: \([^)]*\))?:(?: +(?P<text>.*))?")


class Docstring(NamedTuple):
    """The parts of a docstring."""

    description: str
    """What it says about the whole."""

    fields: dict[str, str]
    """What it says about each field, by name."""


def parse_docstring(text: str) -> Docstring:
    """Split a docstring in Google's style into its description and its section on fields."""
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
    texts: list[str] = []
    for line in lines:
        field = _FIELD.fullmatch(line[indent:])
        if field:
            yield from ((name, " ".join(texts)) for name in names)
            names, texts = field["names"].split(", "), [field["text"]] if field["text"] else []
        elif line.strip():
            texts.append(line.strip())
    yield from ((name, " ".join(texts)) for name in names)


def field_docstrings(record: type[Any]) -> dict[str, str]:
    """Return the docstrings under the fields of a class, inherited ones included, by the fields' names.

    Python does not keep them, so they are read from the source; a class whose source is not available has none.
    """
    docstrings: dict[str, str] = {}
    for base in reversed(record.__mro__):
        docstrings |= _docstrings_in_source(base)
    return docstrings


def _docstrings_in_source(record: type[Any]) -> dict[str, str]:
    try:
        source = inspect.getsource(record)
        # A nested class is indented, and dedenting it could break its texts of several lines: it gets a block instead.
        tree = ast.parse(f"if True:\n{source}" if source[:1].isspace() else source)
    except (OSError, TypeError, SyntaxError):  # made at run time, written in C, or changed since it was imported
        return {}
    definition = next((node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)), None)
    if definition is None:
        return {}
    return {
        field.target.id: inspect.cleandoc(text.value.value)
        for field, text in zip(definition.body, definition.body[1:], strict=False)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant) and isinstance(text.value.value, str)
    }
