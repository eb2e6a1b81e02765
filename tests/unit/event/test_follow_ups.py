"""Events that follow from an event have ids that a repeat makes again."""

from datetime import UTC, datetime, timedelta
from uuid import RFC_4122, UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.coding import created, drafted, evaluated

from domainstream import follow_up, follow_up_id

CAUSE = evaluated(
    id="event-1", correlation_id="stay-7", occurred_at=datetime(2023, 11, 14, 22, 13, 20, 123_456, tzinfo=UTC)
)


def test_repeat_makes_the_same_id() -> None:
    """The id depends on the cause, type and aggregate alone, not on clock or chance."""
    first, second = follow_up(CAUSE, created()), follow_up(CAUSE, created())
    assert first.id == second.id
    assert first.occurred_at < second.occurred_at


def test_correlation_and_cause_are_kept() -> None:
    """A follow-up gets correlation and cause as with `caused`, and keeps all other fields."""
    event = created(sequence=3)
    followed = follow_up(CAUSE, event)
    assert followed.correlation_id == "stay-7"
    assert followed.causation_id == "event-1"
    assert followed.sequence == 3
    assert followed.payload is event.payload


def test_other_events_have_other_ids() -> None:
    """A follow-up with another cause, type, aggregate or name has another id."""
    events = [
        follow_up(CAUSE, created()),
        follow_up(evaluated(id="event-2", occurred_at=CAUSE.occurred_at), created()),
        follow_up(CAUSE, drafted()),
        follow_up(CAUSE, created("stay-2")),
        follow_up(CAUSE, created(), name="second"),
    ]
    assert len({event.id for event in events}) == len(events)


def test_chain_of_repeats_makes_the_same_ids() -> None:
    """The repeat of an event occurs later than the first, and what follows from it still has the same id."""
    first, second = (
        follow_up(follow_up(CAUSE, created(occurred_at=CAUSE.occurred_at + timedelta(hours=hour))), drafted())
        for hour in (1, 2)
    )
    assert first.id == second.id


@pytest.mark.parametrize("cause_id", ["018bcfe5-687b-7000-8000-000000000000", "018bcfe5-687b-8000-8000-000000000000"])
def test_ids_sort_by_the_time_of_the_first_cause(cause_id: str) -> None:
    """A follow-up id is a UUIDv8 (RFC 9562) that begins with the milliseconds of the cause's id."""
    made = UUID(follow_up(evaluated(id=cause_id), created()).id)
    assert made.version == 8
    assert made.variant == RFC_4122
    assert made.int >> 80 == 1_700_000_000_123


@pytest.mark.parametrize("cause_id", ["event-1", "6f9619ff-8b86-4011-b42d-00cf4fc964ff", "7", "\U0001f600"])
def test_any_id_of_a_cause_will_do(cause_id: str) -> None:
    """The cause may have an id of any format, because other systems use other formats."""
    made = UUID(follow_up_id(evaluated(id=cause_id)))
    assert made.version == 8
    assert made.variant == RFC_4122


@pytest.mark.parametrize(
    ("cause_id", "made"),
    [
        ("event-1", "9da501d0-b1d8-8d61-8266-e60ab992903c"),
        ("018bcfe5-687b-7000-8000-000000000000", "018bcfe5-687b-8c0e-a63b-758c2957204c"),
    ],
)
def test_id_is_the_documented_one(cause_id: str, made: str) -> None:
    """A follow-up id never changes with a new version of this package, so that repeated events stay duplicates."""
    assert follow_up_id(evaluated(id=cause_id), "price", "stay-1") == made


@given(st.lists(st.text(min_size=1), max_size=3), st.lists(st.text(min_size=1), max_size=3))
def test_names_do_not_run_together(names: list[str], others: list[str]) -> None:
    """Whatever characters the names hold, different names make different ids."""
    assert (follow_up_id(CAUSE, *names) == follow_up_id(CAUSE, *others)) == (names == others)
