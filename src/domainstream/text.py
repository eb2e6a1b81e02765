"""Makes lines of what others wrote: names, messages and errors in logs, in our own errors, and on a terminal."""

from collections.abc import Sequence
from typing import Final

import msgspec

JSON_ERRORS: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for bytes that are not JSON, for a string in them that is not UTF-8, and for deep nesting."""


def printable(text: str | bytes) -> str:
    """Return `text` on one line, with every unprintable character escaped.

    A line break would forge a line of a log; ESC, U+009B and the marks of text direction control a terminal. Bytes that
    are not UTF-8 are escaped too.
    """
    shown = text.decode("utf-8", "backslashreplace") if isinstance(text, bytes) else text
    if shown.isprintable():
        return shown
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in shown
    )


def described(error: BaseException) -> str:
    """Return an error as `TimeoutError: message`, or as `TimeoutError` if it has no message."""
    try:
        message = str(error).strip()
    except Exception as failure:  # noqa: BLE001 - a broken exception of the user's
        return f"{type(error).__name__}, whose message fails with {type(failure).__name__}"
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def encodable(text: str) -> str:
    """Return `text` with lone surrogates, which UTF-8 cannot encode, escaped."""
    return text.encode(errors="backslashreplace").decode()


def list_problems(heading: str, problems: Sequence[str]) -> str:
    """Return `heading` followed by `problems`, one per line."""
    return "\n".join([heading, *(f"  - {problem}" for problem in problems)])
