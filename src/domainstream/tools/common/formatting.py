"""Formats values for people: numbers, ages, moments, and what a misspelled name probably meant.

`domainstream --help` imports this module, so it imports nothing heavy itself.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

NONE: Final = "-"
_UNITS: Final = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s"))


def number(value: int | None) -> str:
    """Return a number with commas; `-` for None."""
    return NONE if value is None else f"{value:,}"


def plural(count: int, noun: str, nouns: str = "") -> str:
    """Return a count with its noun, as `1 job` or `2 jobs`; `nouns` is an irregular plural."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {nouns or f'{noun}s'}"


def age(milliseconds: int | None) -> str:
    """Return a duration in its largest whole unit, as `3 min`; `-` for None."""
    if milliseconds is None:
        return NONE
    for size, unit in _UNITS:
        if milliseconds >= size:
            return f"{milliseconds // size} {unit}"
    return f"{max(milliseconds, 0)} ms"


def moment(milliseconds: int) -> str:
    """Return a moment, given in milliseconds since 1970, in UTC; the number itself if it is out of range."""
    try:
        when = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=milliseconds)
    except OverflowError:
        return str(milliseconds)
    return f"{when.replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a sentence, with a leading space, that names what is closest to `name`; empty when nothing is close."""
    from difflib import get_close_matches  # noqa: PLC0415 - only mistakes pay for it

    close = get_close_matches(name.casefold(), list(known), n=2, cutoff=0.75)
    if not close:
        return ""
    return f" Did you mean {' or '.join(close)}?"
