"""Durations and moments as people type them: `30s`, `5m`, `2h`, `7d`, or a date and time."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import click

_UNITS: Final = {"ms": "milliseconds", "s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_DURATION: Final = re.compile(rf"([0-9]{{1,9}})({'|'.join(_UNITS)})")


class Duration(click.ParamType):  # type: ignore[type-arg]  # it takes a type since click 8.4 alone
    """A number and a unit."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Return the duration, or fail with what to type."""
        found = _DURATION.fullmatch(str(value))
        if isinstance(value, timedelta) or found is None:
            return value if isinstance(value, timedelta) else self.fail("expected 30s, 5m, 2h or 7d", param, ctx)
        return timedelta(**{_UNITS[found[2]]: int(found[1])})


class Since(click.ParamType):  # type: ignore[type-arg]  # it takes a type since click 8.4 alone
    """How far back: a duration, a moment in ISO 8601 (UTC unless it says otherwise), or an entry's id."""

    name = "since"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta | datetime | str:
        """Return what was meant, or fail with what to type."""
        if not isinstance(value, str):
            return value  # type: ignore[no-any-return]  # converted before
        if found := _DURATION.fullmatch(value):
            return timedelta(**{_UNITS[found[2]]: int(found[1])})
        if re.fullmatch(r"[0-9]{10,16}(-[0-9]+)?", value):
            return value
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            return self.fail("expected 2h or 7d, a time as 2026-01-31T12:00, or an entry's id", param, ctx)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def entry_id_since(since: timedelta | datetime | str | None, *, now_ms: int) -> str:
    """Return the id that entries since then begin with; `now_ms` is the server's clock. `-` for None."""
    if since is None:
        return "-"
    if isinstance(since, timedelta):
        return str(max(0, now_ms - round(since.total_seconds() * 1000)))
    return since if isinstance(since, str) else str(max(0, round(since.timestamp() * 1000)))
