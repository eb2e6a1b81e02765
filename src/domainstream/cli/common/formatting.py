"""How values are put into words: numbers, ages, moments, and text that nobody vouches for."""

from datetime import UTC, datetime, timedelta
from typing import Final

NONE: Final = "-"
_STEPS: Final = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s"))


def number(value: int | None) -> str:
    """Return a number with commas; `-` for None."""
    return NONE if value is None else f"{value:,}"


def plural(count: int, noun: str) -> str:
    """Return a number of things, as `1 letter` or `2 letters`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def age(milliseconds: int | None) -> str:
    """Return a duration in its largest whole unit, as `3 min`; `-` for None."""
    if milliseconds is None:
        return NONE
    for size, unit in _STEPS:
        if milliseconds >= size:
            return f"{milliseconds // size} {unit}"
    return f"{max(milliseconds, 0)} ms"


def moment(milliseconds: int) -> str:
    """Return a moment, given in milliseconds since 1970, in UTC; the number itself where no calendar has it."""
    try:
        when = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=milliseconds)
    except OverflowError:
        return str(milliseconds)
    return f"{when.replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"


def printable(text: str | bytes) -> str:
    """Return a text whose every character can be seen: data must not steer the terminal that shows it."""
    shown = text.decode("utf-8", "backslashreplace") if isinstance(text, bytes) else text
    if shown.isprintable():
        return shown
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in shown)
