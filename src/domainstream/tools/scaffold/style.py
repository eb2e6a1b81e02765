"""How a project writes its code: what the settings of ruff, or black, say about it."""

import tomllib
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

FILES: Final = ("ruff.toml", ".ruff.toml", "pyproject.toml")
"""Where ruff looks in a folder, in its order."""

_USUAL_WIDTH: Final = 88
"""What ruff and black take where nothing is said."""


class Style(NamedTuple):
    """How code is written."""

    width: int = _USUAL_WIDTH
    """How long a line may be."""

    first_party: tuple[str, ...] = ()
    """Packages whose imports stand with those of the project."""


def style_of(texts: Iterable[tuple[str, str]]) -> Style:
    """Return what the first of some settings says that says anything; each is a file's name and its text."""
    return next((style for name, text in texts if (style := _style_in(name, text)) is not None), Style())


def _style_in(name: str, text: str) -> Style | None:
    try:
        settings: Any = tomllib.loads(text) if text else {}
    except tomllib.TOMLDecodeError:
        return None
    if name == "pyproject.toml":
        tools = settings.get("tool", {})
        settings = tools.get("ruff", tools.get("black", {}))
    if not settings:
        return None
    first_party = settings.get("lint", {}).get("isort", {}).get("known-first-party", ())
    return Style(settings.get("line-length", _USUAL_WIDTH), tuple(first_party))
