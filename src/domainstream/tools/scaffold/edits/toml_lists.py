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
    changed = text[:start] + _with_item(text[start:end], item) + text[end:]
    if toml_table(path, changed, table).get(key) != [*listed, item]:
        raise CannotEditError(path, f"the list {key} has an unknown form", by_hand)
    return changed


def with_toml_line(path: str, text: str, line: str, *, table: tuple[str, ...]) -> str:
    """Return the text with a line at the end of an existing table, unless the table has that key."""
    if line.partition("=")[0].strip() in toml_table(path, text, table):
        return text
    lines = text.splitlines(keepends=True)
    start = lines.index(f"[{'.'.join(table)}]\n")
    end = next((at for at in range(start + 1, len(lines)) if not lines[at].strip()), len(lines))
    return "".join([*lines[:end], f"{line}\n", *lines[end:]])


def toml_table(path: str, text: str, table: tuple[str, ...]) -> dict[str, Any]:
    """Return the content of a table; empty if it does not exist."""
    try:
        found: Any = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise CannotEditError(path, f"it is not valid TOML: {error}", "fix it") from None
    for name in table:
        found = found.get(name, {}) if isinstance(found, dict) else {}
    return found if isinstance(found, dict) else {}


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


def _with_item(inside: str, item: str) -> str:
    if "\n" not in inside:
        return f'{inside}, "{item}"' if inside.strip() else f'"{item}"'
    # Comments are blanked, so that the end of the last item is found even if a comment follows it.
    bare = _PARTS.sub(lambda part: " " * len(part[0]) if part[0].startswith("#") else part[0], inside).rstrip()
    comma = "" if bare.endswith(",") or not bare else ","
    return f'{inside[: len(bare)]}{comma}{inside[len(bare) :].rstrip()}\n    "{item}",\n'
