"""Lua scripts: their text, put together from parts that several scripts share, and the hash that a server knows."""

from hashlib import sha1
from importlib.resources import files
from typing import NamedTuple, Self


class Script(NamedTuple):
    """A Lua script."""

    text: str
    """The script itself."""

    sha: str
    """The SHA-1 hash under which a server knows it."""

    @classmethod
    def of(cls, text: str) -> Self:
        """Return the script with this text."""
        return cls(text, sha1(text.encode(), usedforsecurity=False).hexdigest())


def lua_text(package: str, name: str, **parts: str) -> str:
    """Return the text of `{name}.lua` in `package`, each `--[[part]]` in it replaced by the text of that part."""
    text = files(package).joinpath(f"{name}.lua").read_text(encoding="utf-8")
    for part, included in parts.items():
        text = text.replace(f"--[[{part}]]", included)
    return text
