"""Events as users create them."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from enum import Enum, StrEnum
from types import new_class
from typing import Any, ClassVar
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import pendulum
import pytest
from freezegun import freeze_time
from freezegun.api import FakeDatetime
from hypothesis import given, settings
from hypothesis import strategies as st

from domainstream.errors import ConfigurationError, DomainStreamError, InvalidEventError
from domainstream.event import BaseEvent, EventPayload

BEFORE_YEAR_1 = datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=1)))


class OptimizationEventType(StrEnum):
    """The event types of an aggregate, as users write them."""

    EVALUATED = "domain_coding_optimization_evaluated"
    REVISED = "domain_coding_optimization_revised"


class Evaluated(EventPayload):
    """A payload."""

    score: float


class OptimizationEvaluated(BaseEvent[Evaluated]):
    """An event of version 1."""

    event_type = OptimizationEventType.EVALUATED


class OptimizationRevised(BaseEvent[Evaluated]):
    """An event of version 3."""

    event_type = OptimizationEventType.REVISED
    version = 3


def evaluated(**fields: Any) -> OptimizationEvaluated:
    """Return an event with `fields` instead of the defaults."""
    return OptimizationEvaluated(**{"aggregate_id": "opt-1", "payload": Evaluated(score=0.5), **fields})


def revised(**fields: Any) -> OptimizationRevised:
    """Return a follow-up event."""
    return OptimizationRevised(**{"aggregate_id": "opt-1", "payload": Evaluated(score=0.6), **fields})


def test_event_needs_its_aggregate_and_its_payload_only() -> None:
    """Every field of an event but `aggregate_id` and `payload` has a default."""
    event = OptimizationEvaluated(aggregate_id="opt-1", payload=Evaluated(score=0.5))
    assert event.aggregate_id == "opt-1"
    assert event.payload.score == 0.5
    assert event.correlation_id is None
    assert event.causation_id is None
    assert event.partition_key is None
    assert event.sequence is None


def test_event_keeps_what_it_is_given() -> None:
    """An event keeps the value of every field that its constructor was given."""
    moment = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    given_fields = {
        "id": "event-1",
        "occurred_at": moment,
        "correlation_id": "transaction-1",
        "causation_id": "event-0",
        "partition_key": "stay-1",
        "sequence": 7,
    }
    event = evaluated(**given_fields)
    assert {name: getattr(event, name) for name in given_fields} == given_fields


def test_id_is_a_uuid_of_version_7() -> None:
    """An event's own id carries the version 7 and the RFC's variant."""
    event_id = UUID(evaluated().id)
    assert event_id.version == 7
    assert event_id.variant == "specified in RFC 4122"


def test_id_says_when_the_event_was_created() -> None:
    """The first 48 bits of the id are the milliseconds of its creation."""
    before = datetime.now(UTC)
    milliseconds = UUID(evaluated().id).int >> 80
    assert before - timedelta(milliseconds=1) <= datetime.fromtimestamp(milliseconds / 1000, UTC) <= datetime.now(UTC)


def test_ids_are_unique() -> None:
    """A thousand events have a thousand ids."""
    assert len({evaluated().id for _ in range(1000)}) == 1000


def test_ids_sort_by_creation() -> None:
    """Events created one after the other have ids in that order."""
    ids = [evaluated().id for _ in range(1000)]
    assert ids == sorted(ids)


def test_id_is_made_once() -> None:
    """Reading an event's id twice returns the same id."""
    event = evaluated()
    first = event.id
    assert event.id == first


def test_it_occurred_when_it_was_created() -> None:
    """An event without `occurred_at` takes the time of its creation, in UTC."""
    before = datetime.now(UTC)
    event = evaluated()
    assert before <= event.occurred_at <= datetime.now(UTC)
    assert event.occurred_at.tzinfo is UTC


@pytest.mark.parametrize(
    "zone",
    [
        pytest.param(timezone(timedelta(hours=5, minutes=30)), id="offset"),
        pytest.param(ZoneInfo("Europe/Paris"), id="named zone"),
        pytest.param(timezone(timedelta(0), "GMT"), id="another UTC"),
    ],
)
def test_other_time_zones_become_utc(zone: ZoneInfo | timezone) -> None:
    """`occurred_at` in another zone becomes the same moment in UTC."""
    moment = datetime(2026, 7, 1, 12, tzinfo=zone)
    event = evaluated(occurred_at=moment)
    assert event.occurred_at == moment
    assert event.occurred_at.tzinfo is UTC


@settings(deadline=None)
@given(moment=st.datetimes(timezones=st.timezones(), min_value=datetime(2, 1, 1), max_value=datetime(9998, 1, 1)))  # noqa: DTZ001
def test_any_aware_time_keeps_its_moment(moment: datetime) -> None:
    """Conversion to UTC never moves an event in time."""
    assert evaluated(occurred_at=moment).occurred_at == moment.astimezone(UTC)


def test_naive_time_is_refused() -> None:
    """A naive `occurred_at` is refused, and the error says what to write instead."""
    with pytest.raises(InvalidEventError, match=r"datetime\.now\(UTC\)"):
        evaluated(occurred_at=datetime(2026, 1, 1))  # noqa: DTZ001


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        pytest.param({"aggregate_id": ""}, "aggregate_id", id="empty aggregate id"),
        pytest.param({"aggregate_id": 7}, "aggregate_id", id="number as aggregate id"),
        pytest.param({"aggregate_id": uuid4()}, "aggregate_id", id="UUID object as aggregate id"),
        pytest.param({"id": ""}, "id must be", id="empty id"),
        pytest.param({"id": 7}, "id must be", id="number as id"),
        pytest.param({"correlation_id": 7}, "correlation_id", id="number as correlation id"),
        pytest.param({"causation_id": 7}, "causation_id", id="number as causation id"),
        pytest.param({"partition_key": 7}, "partition_key", id="number as partition key"),
        pytest.param({"sequence": -1}, "sequence", id="negative sequence"),
        pytest.param({"sequence": 1.5}, "sequence", id="fraction as sequence"),
        pytest.param({"sequence": "1"}, "sequence", id="text as sequence"),
        pytest.param({"sequence": 10**20}, "20 digits", id="sequence of 21 digits"),
        pytest.param({"aggregate_id": None}, r"aggregate_id must be a non-empty string, not NoneType", id="no id"),
        pytest.param({"occurred_at": "2026-01-01"}, r"occurred_at is str; use datetime", id="text as time"),
        pytest.param({"occurred_at": BEFORE_YEAR_1}, "years 1 to 9999", id="before year 1"),
    ],
)
def test_fields_that_no_message_can_carry_are_refused(fields: dict[str, Any], why: str) -> None:
    """A field that a consumer could not read back is refused where the event is made, and the error names it."""
    with pytest.raises(InvalidEventError, match=why):
        evaluated(**fields)


class StayId(str):
    """An id of a class of its own, which formats itself in another way than its value."""

    __slots__ = ()

    def __str__(self) -> str:
        """Return what a log shows."""
        return f"StayId({super().__str__()})"


class StayNumber(int):
    """A number of a class of its own."""


class Ward(str, Enum):  # noqa: UP042 - its members format themselves as Ward.SURGERY
    """Ids from an enum."""

    SURGERY = "surgery"


@pytest.mark.parametrize("name", ["aggregate_id", "id", "correlation_id", "causation_id", "partition_key"])
@pytest.mark.parametrize(("given", "plain"), [(StayId("stay-1"), "stay-1"), (Ward.SURGERY, "surgery")])
def test_ids_of_a_class_of_their_own_become_plain_strings(name: str, given: str, plain: str) -> None:
    """An id of a subclass of `str` becomes the plain string of its value, so that it is formatted alike everywhere."""
    value = getattr(evaluated(**{name: given}), name)
    assert (type(value), value) == (str, plain)


def test_sequence_of_a_class_of_its_own_becomes_a_plain_integer() -> None:
    """A sequence of a subclass of `int` becomes the plain integer of its value."""
    sequence = evaluated(sequence=StayNumber(7)).sequence
    assert (type(sequence), sequence) == (int, 7)


class OwnDatetime(datetime):
    """A datetime of a class of its own."""


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param(pendulum.datetime(2026, 7, 1, 12, tz="Europe/Paris"), id="pendulum"),
        pytest.param(pendulum.datetime(2026, 7, 1, 10), id="pendulum in UTC"),
        pytest.param(OwnDatetime(2026, 7, 1, 10, tzinfo=UTC), id="a subclass"),
        pytest.param(FakeDatetime(2026, 7, 1, 10, tzinfo=UTC), id="freezegun"),
    ],
)
def test_time_of_a_class_of_its_own_becomes_a_plain_datetime(moment: datetime) -> None:
    """`occurred_at` of a subclass of `datetime` becomes the plain datetime of the same moment in UTC."""
    occurred_at = evaluated(occurred_at=moment).occurred_at
    assert (type(occurred_at), occurred_at) == (datetime, datetime(2026, 7, 1, 10, tzinfo=UTC))


def test_frozen_time_is_the_time_of_events() -> None:
    """An event that is made while freezegun holds the clock has a plain datetime of the frozen time."""
    with freeze_time("2026-07-01T10:00:00Z"):
        frozen = evaluated()
    assert (type(frozen.occurred_at), frozen.occurred_at) == (datetime, datetime(2026, 7, 1, 10, tzinfo=UTC))


@pytest.mark.parametrize(
    ("annotations", "names"),
    [
        pytest.param({"tenant": str}, ["tenant"], id="one field"),
        pytest.param({"tenant": str, "region": str}, ["tenant", "region"], id="several fields"),
    ],
)
def test_field_that_no_message_carries_is_refused(annotations: dict[str, type], names: list[str]) -> None:
    """An event class with fields of its own is refused where it is made, and the error names the payload's class."""
    namespace = {"event_type": "domain_coding_stay_coded", "__annotations__": annotations, **dict.fromkeys(names, "x")}
    with pytest.raises(ConfigurationError, match="StayCoded cannot be used") as caught:
        new_class("StayCoded", (BaseEvent[Evaluated],), {}, lambda fields: fields.update(namespace))
    assert [problem.split()[0] for problem in caught.value.problems] == names
    assert all("move it to the payload's class" in problem for problem in caught.value.problems)


def test_fields_of_the_envelope_may_have_other_defaults() -> None:
    """An event class may give a field of the envelope another default, and have class variables of its own."""

    class StayCoded(BaseEvent[Evaluated]):
        event_type = "domain_coding_stay_coded"
        owner: ClassVar[str] = "coding"
        partition_key: str | None = "all"

    assert StayCoded(aggregate_id="stay-1", payload=Evaluated(score=0.5)).partition_key == "all"


def test_largest_sequence_is_allowed() -> None:
    """`sequence` may have up to 20 digits, for which the wire has room."""
    assert evaluated(sequence=10**20 - 1).sequence == 10**20 - 1


def test_error_names_event_and_type() -> None:
    """A refused event is named by class, id and type, in the message and as attributes."""
    with pytest.raises(InvalidEventError) as caught:
        evaluated(id="event-1", sequence=-1)
    assert caught.value.event_id == "event-1"
    assert caught.value.event_type == OptimizationEventType.EVALUATED
    for name in ("OptimizationEvaluated", "event-1", "domain_coding_optimization_evaluated"):
        assert name in str(caught.value)


def test_error_is_a_domain_stream_error_and_a_value_error() -> None:
    """A refused event can be caught as the project's own error or as Python's usual one."""
    assert issubclass(InvalidEventError, DomainStreamError)
    assert issubclass(InvalidEventError, ValueError)


def test_events_are_frozen() -> None:
    """No field of an event can be assigned."""
    event: Any = evaluated()
    with pytest.raises(AttributeError, match="immutable"):
        event.aggregate_id = "opt-2"


def test_payloads_are_frozen() -> None:
    """No field of a payload can be assigned."""
    payload: Any = evaluated().payload
    with pytest.raises(AttributeError, match="immutable"):
        payload.score = 1.0


@pytest.mark.parametrize(
    "construct",
    [
        pytest.param(lambda: OptimizationEvaluated("opt-1", Evaluated(score=0.5)), id="event"),  # type: ignore[call-arg]
        pytest.param(lambda: Evaluated(0.5), id="payload"),  # type: ignore[call-arg]
    ],
)
def test_fields_are_given_by_name(construct: Callable[[], object]) -> None:
    """Neither events nor payloads take positional arguments."""
    with pytest.raises(TypeError, match="positional"):
        construct()


def test_equal_fields_make_equal_events() -> None:
    """Two events with equal fields are equal."""
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    assert evaluated(id="event-1", occurred_at=moment) == evaluated(id="event-1", occurred_at=moment)


def test_type_belongs_to_the_class() -> None:
    """The event type is an attribute of the class and not a field."""
    assert OptimizationEvaluated.event_type is OptimizationEventType.EVALUATED
    assert "event_type" not in OptimizationEvaluated.__struct_fields__


def test_version_is_one_unless_the_class_says_otherwise() -> None:
    """The version is an attribute of the class and not a field."""
    assert OptimizationEvaluated.version == 1
    assert OptimizationRevised.version == 3
    assert "version" not in OptimizationRevised.__struct_fields__


def test_caused_event_keeps_the_correlation() -> None:
    """A follow-up belongs to the same business transaction as its cause."""
    cause = evaluated(correlation_id="transaction-1")
    assert cause.caused(revised()).correlation_id == "transaction-1"


def test_event_without_correlation_starts_one() -> None:
    """The first event of a business transaction gives its own id to it as correlation id."""
    cause = evaluated()
    assert cause.caused(revised()).correlation_id == cause.id


def test_caused_event_names_its_cause() -> None:
    """A follow-up carries the id of the event that led to it."""
    cause = evaluated(correlation_id="transaction-1")
    assert cause.caused(revised()).causation_id == cause.id


def test_caused_event_keeps_everything_else() -> None:
    """`caused` changes the correlation and causation ids of a copy, and nothing else."""
    follow_up = revised(sequence=2, partition_key="stay-1")
    caused = evaluated().caused(follow_up)
    kept = set(OptimizationRevised.__struct_fields__) - {"correlation_id", "causation_id"}
    assert type(caused) is OptimizationRevised
    assert {name: getattr(caused, name) for name in kept} == {name: getattr(follow_up, name) for name in kept}
    assert follow_up.causation_id is None


def test_correlation_reaches_along_a_chain() -> None:
    """The first event's id is the correlation of all that follow."""
    first = evaluated()
    second = first.caused(revised())
    third = second.caused(revised())
    assert third.correlation_id == first.id
    assert third.causation_id == second.id
