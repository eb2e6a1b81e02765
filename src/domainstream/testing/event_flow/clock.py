"""The clock of a flow, which advances only on request."""

from datetime import UTC, datetime, timedelta
from typing import Final

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST: Final = datetime.max.replace(tzinfo=UTC)


class FlowClock:
    """The clock of one flow."""

    def __init__(self, now: datetime | None) -> None:
        """Begin at `now`; None is the real time, to the millisecond."""
        self.now = (now or EPOCH + timedelta(milliseconds=milliseconds_of(datetime.now(UTC)))).astimezone(UTC)
        """The time, aware and in UTC."""

    def seconds(self) -> float:
        """Return the time in seconds since 1970."""
        return self.now.timestamp()

    def milliseconds(self) -> int:
        """Return the time in milliseconds since 1970."""
        return milliseconds_of(self.now)

    def after(self, delay: timedelta) -> datetime:
        """Return when a delay that begins now ends, at the latest the last moment of the calendar."""
        return self.now + min(delay, _LAST - self.now)

    def pass_until(self, then: datetime) -> None:
        """Advance to `then`, which is not before now."""
        self.now = then


def milliseconds_of(moment: datetime) -> int:
    """Return an aware moment in whole milliseconds since 1970."""
    return (moment - EPOCH) // timedelta(milliseconds=1)
