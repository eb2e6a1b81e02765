"""The code style of a project: its settings of ruff or black, and lines broken as these formatters do.

Generated code follows it, and so needs no formatting.
"""

import re
import tomllib
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

FILES: Final = ("ruff.toml", ".ruff.toml", "pyproject.toml")
"""The settings files that ruff reads in a folder, in its order."""

_USUAL_WIDTH: Final = 88
"""The default of ruff and black."""

STEP: Final = "    "
"""One step of indentation in generated code."""


class Style(NamedTuple):
    """The settings that generated code follows."""

    width: int = _USUAL_WIDTH
    """The maximum length of a line."""

    first_party: tuple[str, ...] = ()
    """Packages that are sorted with the imports of the project."""


def style_of(texts: Iterable[tuple[str, str]]) -> Style:
    """Return the style of the first file with valid settings; each is given by name and text."""
    return next(filter(None, (_style_in(name, text) for name, text in texts)), Style())


@lru_cache(maxsize=32)  # a command asks for the style of each file that it reads, and the settings stay the same
def _style_in(name: str, text: str) -> Style | None:
    try:
        settings: Any = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None
    if name == "pyproject.toml":
        tools = settings.get("tool", {})
        settings = tools.get("ruff", tools.get("black", {}))
    if not settings:
        return None
    first_party = settings.get("lint", {}).get("isort", {}).get("known-first-party", ())
    return Style(settings.get("line-length", _USUAL_WIDTH), tuple(first_party))


def call(head: str, arguments: Sequence[str], tail: str, indent: int, width: int) -> str:
    """Return `head(arguments)tail`: on one line, with the arguments on one line, or with one argument per line."""
    pad = " " * indent
    one = f"{pad}{head}({', '.join(arguments)}){tail}"
    if len(one) <= width or not arguments:
        return one
    inner = f"{pad}{STEP}{', '.join(arguments)}"
    # The formatters add a comma after a single parameter, so that adding another changes no line.
    if len(inner) > width or (len(arguments) == 1 and "def " in head):
        inner = "\n".join(f"{pad}{STEP}{argument}," for argument in arguments)
    return f"{pad}{head}(\n{inner}\n{pad}){tail}"


def statement(head: str, value: str, indent: int, width: int, tail: str = "") -> str:
    """Return `head value`, the value in parentheses on a line of its own where that makes it fit."""
    pad = " " * indent
    one = f"{pad}{head} {value}"
    broken = f"{pad}{STEP}{value}"
    if len(one) <= width or len(broken) > width:
        return f"{one}{tail}"
    return f"{pad}{head} (\n{broken}\n{pad}){tail}"


def import_from(module: str, names: Iterable[str], width: int) -> str:
    """Return `from module import names`, sorted."""
    names = sorted(set(names), key=member_key)
    one = f"from {module} import {', '.join(names)}"
    return one if len(one) <= width else exploded(f"from {module} import (", names, ")", "")


def exploded(head: str, items: Iterable[str], tail: str, pad: str) -> str:
    """Return items between brackets, one per line."""
    return "\n".join([head, *(f"{pad}{STEP}{item}," for item in items), f"{pad}{tail}"])


def union(head: str, names: Sequence[str], width: int) -> str:
    """Return `head = A | B | C`."""
    one = f"{head} = {' | '.join(names)}"
    if len(one) <= width or len(names) == 1:
        return statement(f"{head} =", names[0], 0, width) if len(names) == 1 else one
    inner = f"{STEP}{' | '.join(names)}"
    if len(inner) > width:
        inner = f"\n{STEP}| ".join([f"{STEP}{names[0]}", *names[1:]])
    return f"{head} = (\n{inner}\n)"


def member_key(name: str) -> tuple[int, Any, Any]:
    """Return the sort key of a name within an import: constants, classes, the rest."""
    bare = name.partition(" ")[0]
    kind = 0 if bare.isupper() and len(bare) > 1 else 1 if bare[:1].isupper() else 2
    return kind, natural(bare.lower()), natural(bare)


def natural(text: str) -> list[tuple[int, int, str]]:
    """Return a sort key that puts 10 after 9."""
    parts = re.findall(r"\d+|\D", text)
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts]
