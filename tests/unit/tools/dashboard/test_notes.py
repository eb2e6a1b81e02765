"""What is there now of a channel, in a few words."""

from typing import Any

import pytest

from domainstream.stream import GroupState, StreamState
from domainstream.tools.dashboard.facts import ChannelFacts
from domainstream.tools.dashboard.notes import LATE_MS, channel_note

CODED = "domain_coding_stay_coded"


def channel(*, pending: int, oldest_ms: int | None) -> ChannelFacts:
    """Return a channel with entries that its group has not settled."""
    fields: Any = {"consumers": 1, "unread": 0, "pending": pending, "lost": 0, "last_delivered_id": "1-0"}
    group = GroupState(channel=CODED, group="billing", lag=pending, oldest_ms=oldest_ms, **fields)
    stream = StreamState(channel=CODED, length=1, added=1, groups=1, first_id="1-0", last_id="1-0")
    return ChannelFacts(channel=CODED, stream=stream, groups=[group], dead=None)


@pytest.mark.parametrize(
    ("pending", "oldest_ms", "note"),
    [
        (0, None, ("all settled", "")),
        (3, LATE_MS - 1, ("3 not settled", "")),
        (3, LATE_MS, ("3 not settled, 10.0 s behind", "warn")),
    ],
)
def test_events_on_their_way_are_not_late(pending: int, oldest_ms: int | None, note: tuple[str, str]) -> None:
    """Only events that have not been settled for ten seconds are shown as a warning."""
    assert channel_note([channel(pending=pending, oldest_ms=oldest_ms)]) == note
