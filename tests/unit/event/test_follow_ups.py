"""Events that follow from an event have ids that a repeat makes again."""

from datetime import UTC, datetime
from uuid import RFC_4122, UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples.coding import created, drafted, evaluated

from domainstream import follow_up, follow_up_id

CAUSE = evaluated(
    id="event-1", correlation_id="stay-7", occurred_at=datetime(2023, 11, 14, 22, 13, 20, 123_456, tzinfo=UTC)
)


def test_a_repeat_makes_the_same_id() -> None:
    """The id depends on the cause, type and aggregate alone, not on clock or chance."""
    first, second = follow_up(CAUSE, created()), follow_up(CAUSE, created())
    assert first.id == second.id
    assert first.occurred_at < second.occurred_at


def test_correlation_and_cause_are_kept() -> None:
    """As `caused` does; all else stays as it is."""
    event = created(sequence=3)
    followed = follow_up(CAUSE, event)
    assert (followed.correlation_id, followed.causation_id, followed.sequence) == ("stay-7", "event-1", 3)
    assert followed.payload is event.payload


def test_other_events_have_other_ids() -> None:
    """Another cause, type, aggregate or name makes another event."""
    events = [
        follow_up(CAUSE, created()),
        follow_up(evaluated(id="event-2", occurred_at=CAUSE.occurred_at), created()),
        follow_up(CAUSE, drafted()),
        follow_up(CAUSE, created("stay-2")),
        follow_up(CAUSE, created(), name="second"),
    ]
    assert len({event.id for event in events}) == len(events)


def test_the_id_is_a_uuid8_of_the_cause_s_millisecond() -> None:
    """RFC 9562, version 8; it sorts by time with UUIDv7s."""
    made = UUID(follow_up(CAUSE, created()).id)
    assert (made.version, made.variant) == (8, RFC_4122)
    assert made.int >> 80 == 1_700_000_000_123


def test_the_id_is_the_documented_one() -> None:
    """Ids must not change with a new version of this package: events made before and after it are the same events."""
    assert follow_up_id(CAUSE, "price", "stay-1") == "018bcfe5-687b-89da-9407-42c762358609"


@pytest.mark.parametrize("occurred_at", [datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)])
def test_any_time_will_do(occurred_at: datetime) -> None:
    """Times before 1970 count as 1970, and the calendar's last fits."""
    assert UUID(follow_up_id(evaluated(occurred_at=occurred_at))).version == 8


@given(st.lists(st.text(min_size=1), max_size=3), st.lists(st.text(min_size=1), max_size=3))
def test_names_do_not_run_together(names: list[str], others: list[str]) -> None:
    """Whatever characters the names hold, different names make different ids."""
    assert (follow_up_id(CAUSE, *names) == follow_up_id(CAUSE, *others)) == (names == others)
