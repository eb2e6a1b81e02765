"""The code style of a project, from its settings of ruff or black."""

import tomllib
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

FILES: Final = ("ruff.toml", ".ruff.toml", "pyproject.toml")
"""The settings files that ruff reads in a folder, in its order."""

_USUAL_WIDTH: Final = 88
"""The default of ruff and black."""


class Style(NamedTuple):
    """The settings that generated code follows."""

    width: int = _USUAL_WIDTH
    """The maximum length of a line."""

    first_party: tuple[str, ...] = ()
    """Packages that are sorted with the imports of the project."""


def style_of(texts: Iterable[tuple[str, str]]) -> Style:
    """Return the style of the first file with settings; each is given by name and text."""
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
