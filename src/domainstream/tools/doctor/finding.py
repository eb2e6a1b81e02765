"""What the doctor says of one thing."""

import shlex
from typing import Final, Literal

from msgspec import Struct

Status = Literal["ok", "warning", "problem"]

REDIS_CLI: Final = 'redis-cli -u "$REDIS_URL"'
"""What commands begin with that go to the server which was looked at."""


class Finding(Struct, frozen=True, omit_defaults=True):
    """One line of the doctor's."""

    check: str
    """What was looked at."""

    status: Status
    """`ok`, `warning` for what may be meant so, or `problem`."""

    words: str
    """What was found, and why it matters."""

    mend: str = ""
    """The command that mends it; empty where nothing is to be mended."""


def ok(check: str, words: str) -> Finding:
    """Return that all is well."""
    return Finding(check, "ok", words)


def warning(check: str, words: str, mend: str) -> Finding:
    """Return what may be meant so, and what to type otherwise."""
    return Finding(check, "warning", words, mend)


def problem(check: str, words: str, mend: str) -> Finding:
    """Return what is wrong, and what to type."""
    return Finding(check, "problem", words, mend)


def redis_cli(*words: str) -> str:
    """Return a command for the server, fit to be pasted into a shell."""
    return f"{REDIS_CLI} {shlex.join(words)}"
