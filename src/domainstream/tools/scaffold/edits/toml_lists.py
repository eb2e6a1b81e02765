"""Adds items to lists and lines to tables of a TOML file, keeping comments and order."""

import re
import tomllib
from typing import Any, Final

from domainstream.tools.scaffold.errors import CannotEditError

_PARTS: Final = re.compile(r"""#[^\n]*|"(?:\\.|[^"\\])*"|'[^']*'|\[|\]""")
"""Comments, strings and brackets: a bracket within a comment or a string does not count."""


def with_toml_item(path: str, text: str, key: str, item: str, *, table: tuple[str, ...]) -> str:
    """Return the text with `item` at the end of the list `key` of `table`; unchanged if it is in the list."""
    by_hand = f'add "{item}" to {key} of [{".".join(table)}]'
    listed = toml_table(path, text, table).get(key)
    if not isinstance(listed, list):
        raise CannotEditError(path, f"[{'.'.join(table)}] has no list {key}", by_hand)
    if item in listed:
        return text
    found = _find(text, key, table)
    if found is None:
        raise CannotEditError(path, f"the list {key} could not be found", by_hand)
    start, end = found
    changed = text[:start] + _with_item(text[start:end], item, _newline(text)) + text[end:]
    expected = {**toml_table(path, text, table), key: [*listed, item]}
    return _proven(path, changed, table, expected, f"the list {key} has an unknown form", by_hand)


def with_toml_line(path: str, text: str, line: str, *, table: tuple[str, ...]) -> str:
    """Return the text with a line at the end of an existing table, unless the table has that key."""
    if line.partition("=")[0].strip() in toml_table(path, text, table):
        return text
    by_hand = f"add {line} to [{'.'.join(table)}]"
    head = re.search(rf"^\[{re.escape('.'.join(table))}\]", text, re.MULTILINE)
    end = re.compile(r"\r?\n(?=[ \t]*(?:\r?\n|\[|\Z))").search(text, head.end()) if head else None
    place = end.start() if end else len(text)
    changed = f"{text[:place]}{_newline(text)}{line}{text[place:] or _newline(text)}"
    expected = {**toml_table(path, text, table), **tomllib.loads(line)}
    return _proven(path, changed, table, expected, f"[{'.'.join(table)}] has an unknown form", by_hand)


def _proven(path: str, changed: str, table: tuple[str, ...], expected: dict[str, Any], what: str, by_hand: str) -> str:
    """Return a changed text whose table is as expected; raise `CannotEditError` for any other."""
    try:
        if toml_table(path, changed, table) == expected:
            return changed
    except CannotEditError:  # the changed text is not TOML, so the place was wrong
        pass
    raise CannotEditError(path, what, by_hand)


def toml_table(path: str, text: str, table: tuple[str, ...]) -> dict[str, Any]:
    """Return the content of a table; empty if it does not exist."""
    try:
        found: Any = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise CannotEditError(path, f"it is not valid TOML: {error}", "fix it") from None
    for name in table:
        found = found.get(name, {}) if isinstance(found, dict) else {}
    return found if isinstance(found, dict) else {}


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _find(text: str, key: str, table: tuple[str, ...]) -> tuple[int, int] | None:
    """Return the start and end of the content of a list."""
    head = re.escape(f"[{'.'.join(table)}]")
    begin = re.search(rf"^{head}[^\n]*\n(?:(?!\[)[^\n]*\n)*?{re.escape(key)} *= *\[", text, re.MULTILINE)
    depth = 1
    for part in _PARTS.finditer(text, begin.end()) if begin else ():
        depth += {"[": 1, "]": -1}.get(part.group(), 0)
        if begin and depth == 0:
            return begin.end(), part.start()
    return None


def _with_item(inside: str, item: str, newline: str) -> str:
    if "\n" not in inside:
        comma = " " if inside.rstrip().endswith(",") else ", "
        return f'{inside.rstrip()}{comma}"{item}"' if inside.strip() else f'"{item}"'
    # Comments are blanked, so that the end of the last item is found even if a comment follows it.
    bare = _PARTS.sub(lambda part: " " * len(part[0]) if part[0].startswith("#") else part[0], inside).rstrip()
    comma = "" if bare.endswith(",") or not bare else ","
    return f'{inside[: len(bare)]}{comma}{inside[len(bare) :].rstrip()}{newline}    "{item}",{newline}'
