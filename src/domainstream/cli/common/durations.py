"""Option types for durations and moments: `30s`, `5m`, `2h`, `7d`, or a date and time."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import click

StartPoint = timedelta | datetime | str
"""How far back to start: a duration, a moment, or an entry id."""

_UNITS: Final = {"ms": "milliseconds", "s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_DURATION: Final = re.compile(rf"([0-9]{{1,9}})({'|'.join(_UNITS)})")


class Duration(click.ParamType):  # type: ignore[type-arg]  # generic only since click 8.4
    """A number and a unit, which may be left out where there is one by default."""

    name = "duration"

    def __init__(self, *, default_unit: str = "") -> None:
        """Take a number alone as one of `default_unit`, such as `s`."""
        self._default_unit = default_unit

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Return the duration, or fail with examples."""
        if isinstance(value, timedelta):
            return value
        text = str(value)
        match = _DURATION.fullmatch(f"{text}{self._default_unit}" if text.isdigit() else text)
        if match is None:
            return self.fail("expected 30s, 5m, 2h or 7d", param, ctx)
        return _duration(match)


class Since(click.ParamType):  # type: ignore[type-arg]  # generic only since click 8.4
    """How far back: a duration, a moment in ISO 8601 (UTC unless it has an offset), or an entry id."""

    name = "since"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> StartPoint:
        """Return the start, or fail with examples."""
        if not isinstance(value, str):
            return value  # type: ignore[no-any-return]  # already converted
        if match := _DURATION.fullmatch(value):
            return _duration(match)
        if re.fullmatch(r"[0-9]{10,16}(-[0-9]+)?", value):
            return value
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            return self.fail("expected 2h or 7d, a time such as 2026-01-31T12:00, or an entry id", param, ctx)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def entry_id_since(since: StartPoint | None, *, now_ms: int) -> str:
    """Return the first entry id at or after `since`, `-` for None; `now_ms` is the server's clock."""
    if since is None:
        return "-"
    if isinstance(since, timedelta):
        return str(max(0, now_ms - round(since.total_seconds() * 1000)))
    return since if isinstance(since, str) else str(max(0, round(since.timestamp() * 1000)))


def _duration(match: re.Match[str]) -> timedelta:
    return timedelta(**{_UNITS[match[2]]: int(match[1])})
