"""Events are stored in Django's transactions: committed with the data that they are about, or rolled back with it."""

import unittest
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from asgiref.sync import sync_to_async
from django.db import DatabaseError, connections, transaction
from django.test import TestCase
from django.test.utils import CaptureQueriesContext
from support.coding import CodingEvent, created, drafted, evaluated
from support.django_project import Stay, forget_databases, use_databases
from support.spans import recording, traceparent_of

from domainstream import Outcome
from domainstream.errors import EventEncodingError, MapperError, OutboxError
from domainstream.event import read_message
from domainstream.integrations.django import DjangoOutbox
from domainstream.integrations.django.models import OutboxRow

CodingOutbox = DjangoOutbox[CodingEvent]


class DeliberateError(Exception):
    """Ends a transaction."""


def stored(using: str = "default") -> list[str]:
    """Return the ids of the stored events, in the order of their rows."""
    return list(OutboxRow.objects.using(using).order_by("id").values_list("event_id", flat=True))


def test_committed_event_is_stored_with_its_data(databases: str, outbox: CodingOutbox) -> None:
    """One commit stores the row of the aggregate and the event about it, and the receipt says so."""
    event = created()
    with transaction.atomic():
        Stay.objects.create(id="stay-1")
        receipt = outbox.add(event)
    assert stored() == [event.id]
    assert Stay.objects.count() == 1
    assert (receipt.outcome, receipt.channel, receipt.event_id) == (
        Outcome.STORED,
        "domain_coding_medical_stay_created",
        event.id,
    )


def test_stored_message_has_the_context_of_the_current_span(databases: str, outbox: CodingOutbox) -> None:
    """What a request stores belongs to its trace, whenever the relay publishes it."""
    with recording() as recorded, recorded.app.start_as_current_span("request") as request, transaction.atomic():
        outbox.add(created())
    (data,) = OutboxRow.objects.values_list("data", flat=True)
    assert read_message(bytes(data)).traceparent == traceparent_of(request.get_span_context())


def test_stored_row_holds_the_message_and_its_partition_key(databases: str, outbox: CodingOutbox) -> None:
    """The row has what the relay publishes, the key that says which events must stay in order, and its time."""
    event = created(partition_key="ward-7")
    with transaction.atomic():
        outbox.add(event)
    row = OutboxRow.objects.get()
    assert (row.channel, row.partition_key) == ("domain_coding_medical_stay_created", "ward-7")
    assert read_message(bytes(row.data)).id == event.id
    assert abs((datetime.now(UTC) - row.created_at).total_seconds()) < 60
    assert str(row) == f"domain_coding_medical_stay_created {event.id}"


def test_rolled_back_event_is_not_stored(databases: str, outbox: CodingOutbox) -> None:
    """An error in the transaction takes the event with it."""
    with suppress(DeliberateError), transaction.atomic():
        Stay.objects.create(id="stay-1")
        outbox.add(created())
        raise DeliberateError
    assert stored() == []


def test_nested_blocks_treat_events_as_rows(databases: str, outbox: CodingOutbox) -> None:
    """A savepoint that is released keeps its events, one that is rolled back loses them with those inside it."""
    kept, lost = [created() for _ in range(4)], [created() for _ in range(2)]
    with transaction.atomic():
        outbox.add(kept[0])
        with transaction.atomic():
            outbox.add(kept[1])
            with transaction.atomic():
                outbox.add(kept[2])
        with suppress(DeliberateError), transaction.atomic():
            outbox.add(lost[0])
            with transaction.atomic():
                outbox.add(lost[1])
            raise DeliberateError
        outbox.add(kept[3])
    assert stored() == [event.id for event in kept]


def test_rollback_marked_by_an_inner_block_takes_all_events(databases: str, outbox: CodingOutbox) -> None:
    """An error in a block without a savepoint rolls the outer transaction back, which accepts no event until then."""
    with transaction.atomic():
        outbox.add(created())
        with suppress(DeliberateError), transaction.atomic(savepoint=False):
            raise DeliberateError
        with pytest.raises(transaction.TransactionManagementError):
            outbox.add(created())
    assert stored() == []


def test_event_outside_of_a_transaction_is_refused(databases: str, outbox: CodingOutbox) -> None:
    """Without `atomic` the event would be committed by itself: the error names the database and what to write."""
    with pytest.raises(OutboxError, match=r"'default' is outside of a transaction.*with transaction\.atomic\(\)$"):
        outbox.add(created())
    with pytest.raises(OutboxError, match=r"transaction\.atomic\(using='other'\)$"):
        outbox.add(created(), using="other")
    assert stored() == []


def test_transaction_that_is_begun_by_hand_is_accepted(databases: str, outbox: CodingOutbox) -> None:
    """Where autocommit is off, every statement is in a transaction."""
    event = created()
    transaction.set_autocommit(False)
    try:
        outbox.add(created())
        transaction.rollback()
        outbox.add(event)
        transaction.commit()
    finally:
        transaction.set_autocommit(True)
    assert stored() == [event.id]


def test_transaction_of_a_test_case_does_not_count(databases: str, outbox: CodingOutbox) -> None:
    """A TestCase wraps tests in transactions that production does not have, and still finds out what `atomic` lacks."""

    class AddingTest(TestCase):
        def test_without_atomic(self) -> None:
            with pytest.raises(OutboxError, match=r"transaction\.atomic\(\), also within a TestCase$"):
                outbox.add(created())

        def test_with_atomic(self) -> None:
            with transaction.atomic():
                outbox.add(created())
            assert OutboxRow.objects.count() == 1

    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(AddingTest).run(result)
    assert (result.testsRun, result.errors, result.failures) == (2, [], [])
    assert stored() == []


def test_event_is_stored_in_the_database_that_is_named(databases: str, outbox: CodingOutbox) -> None:
    """With `using`, the event is in that database's transaction, and a transaction of another one does not help."""
    event = created()
    with transaction.atomic(using="other"):
        outbox.add(event, using="other")
        with pytest.raises(OutboxError, match="'default' is outside"):
            outbox.add(created())
    assert (stored(), stored("other")) == ([], [event.id])


@pytest.mark.parametrize(("events", "statements"), [(1, 1), (500, 1), (501, 2)])
def test_events_cost_one_query(databases: str, outbox: CodingOutbox, events: int, statements: int) -> None:
    """One event adds exactly one statement to a transaction, and so do five hundred; more take one for each 500."""
    with CaptureQueriesContext(connections["default"]) as without, transaction.atomic():
        Stay.objects.filter(id="stay-1").update(changes=1)
    with CaptureQueriesContext(connections["default"]) as queries, transaction.atomic():
        Stay.objects.filter(id="stay-1").update(changes=1)
        outbox.add_many([created() for _ in range(events)])
    assert len(queries) - len(without) == statements
    assert len(stored()) == events


def test_many_events_keep_their_order(databases: str, outbox: CodingOutbox) -> None:
    """The rows are in the order of the call, and each event has its receipt."""
    events: list[CodingEvent] = [created(), drafted(), evaluated(), created()]
    with transaction.atomic():
        receipts = outbox.add_many(events)
    assert [receipt.event_id for receipt in receipts] == [event.id for event in events]
    assert [receipt.outcome for receipt in receipts].count(Outcome.NOT_PUBLISHED) == 1
    assert stored() == [events[0].id, events[2].id, events[3].id]


def test_event_that_stays_inside_needs_no_transaction(databases: str, outbox: CodingOutbox) -> None:
    """What the mapper maps to None has a receipt that says so, and asks nothing of the database."""
    with CaptureQueriesContext(connections["default"]) as queries:
        receipt = outbox.add(drafted())
    assert receipt.outcome is Outcome.NOT_PUBLISHED
    assert len(queries) == 0


def test_event_that_cannot_be_encoded_stores_nothing(databases: str, outbox: CodingOutbox) -> None:
    """A mistake is raised where the event is added, before anything is stored."""
    with transaction.atomic():
        with pytest.raises(EventEncodingError):
            outbox.add_many([created(), evaluated(score=float("nan"))])
        with pytest.raises(MapperError):
            outbox.add("not an event")  # type: ignore[arg-type]
    assert stored() == []


def test_mapper_that_misses_an_event_is_refused_at_the_start() -> None:
    """The outbox proves its mapper as a producer does."""

    def channel_for_some(event: CodingEvent) -> None:
        return None

    with pytest.raises(MapperError):
        DjangoOutbox(channel_for=channel_for_some, source="coding")


async def test_async_code_adds_events_in_a_sync_function(databases: str, outbox: CodingOutbox) -> None:
    """`sync_to_async` runs the transaction; a call beside it is refused with this advice."""
    event = created()

    @sync_to_async
    def store() -> list[str]:
        try:
            with transaction.atomic():
                outbox.add(event)
            return stored()
        finally:
            forget_databases()

    with pytest.raises(OutboxError, match="await it by sync_to_async"):
        outbox.add(created())
    assert await store() == [event.id]


def test_missing_table_names_the_command_that_creates_it(empty_databases: str, outbox: CodingOutbox) -> None:
    """Django's own error is raised, with a note."""
    with pytest.raises(DatabaseError) as caught, transaction.atomic():
        outbox.add(created())
    assert caught.value.__notes__ == [
        "Database 'default' has no outbox yet; run: python manage.py migrate domainstream --database=default"
    ]


def test_database_without_outbox_is_refused(databases: str, outbox: CodingOutbox) -> None:
    """What is neither PostgreSQL nor SQLite has no outbox."""
    use_databases({"default": {"ENGINE": "django.db.backends.dummy"}})
    with pytest.raises(OutboxError, match="supports PostgreSQL and SQLite, not unknown"):
        outbox.add(created())
