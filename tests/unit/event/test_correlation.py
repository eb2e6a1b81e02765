"""The event that is handled flows into events made meanwhile, and into logs."""

import asyncio
import copy
import logging
import logging.config
import pickle

import pytest
from support.coding import CodingEvent, OptimizationEvaluated, created, evaluated

from domainstream.event import CorrelationFilter, EventDecoder, EventEncoder, caused_by

CAUSE = evaluated(id="event-1", correlation_id="stay-7")


def ids(event: CodingEvent) -> tuple[str | None, str | None]:
    """Return whose transaction an event belongs to, and what led to it."""
    return event.correlation_id, event.causation_id


def test_event_outside_starts_a_transaction() -> None:
    """An event that is created outside handlers has neither a correlation id nor a causation id."""
    assert ids(created()) == (None, None)


def test_event_made_inside_has_cause_and_correlation() -> None:
    """An event created inside the scope gets its ids without anyone passing them."""
    with caused_by(CAUSE):
        event = created()
    assert ids(event) == ("stay-7", "event-1")
    assert ids(created()) == (None, None)


def test_first_event_correlates_by_its_own_id() -> None:
    """An event without a correlation id gives its own id to the events that it causes."""
    with caused_by(evaluated(id="event-1")):
        assert ids(created()) == ("event-1", "event-1")


def test_given_ids_stay() -> None:
    """Ids that are passed explicitly are kept, including None."""
    with caused_by(CAUSE):
        assert ids(created(correlation_id="other")) == ("other", "event-1")
        assert ids(created(correlation_id=None, causation_id=None)) == (None, None)


def test_causes_nest() -> None:
    """In nested scopes the innermost cause applies, and afterwards the outer one again."""
    with caused_by(CAUSE):
        with caused_by(evaluated(id="event-2", correlation_id="stay-8")):
            assert ids(created()) == ("stay-8", "event-2")
        assert ids(created()) == ("stay-7", "event-1")


def test_failing_block_leaves_nothing_behind() -> None:
    """The cause ends with its block, also when the block raises."""
    with pytest.raises(KeyError), caused_by(CAUSE):
        raise KeyError
    assert ids(created()) == (None, None)


async def test_tasks_and_threads_started_inside_know_the_cause() -> None:
    """Tasks and threads started inside a scope keep its ids even if they outlive it."""
    with caused_by(CAUSE):
        task = asyncio.create_task(asyncio.to_thread(created))
    assert ids(await task) == ("stay-7", "event-1")


async def test_tasks_side_by_side_have_their_own_causes() -> None:
    """What one handler does is not mixed up with what another does."""
    met = asyncio.Barrier(2)

    async def handle(event: OptimizationEvaluated) -> tuple[str | None, str | None]:
        with caused_by(event):
            await met.wait()
            return ids(created())

    other = evaluated(id="event-2", correlation_id="stay-8")
    first, second = await asyncio.gather(handle(CAUSE), handle(other))
    assert first == ("stay-7", "event-1")
    assert second == ("stay-8", "event-2")


def test_decoded_event_keeps_what_its_message_says() -> None:
    """Reading an old message while handling another event gives it no cause that it did not have."""
    data = EventEncoder("coding").encode(evaluated())
    with caused_by(CAUSE):
        assert ids(EventDecoder([OptimizationEvaluated]).decode(data)) == (None, None)  # type: ignore[arg-type]


def test_copied_event_keeps_what_it_has() -> None:
    """An event that is copied or unpickled keeps its ids inside another event's scope."""
    event = evaluated()
    with caused_by(CAUSE):
        copies = [copy.copy(event), copy.deepcopy(event), pickle.loads(pickle.dumps(event))]  # noqa: S301 - our own bytes
    assert [ids(each) for each in copies] == [(None, None)] * 3


def fields_of(logged: CorrelationFilter, **given: str) -> tuple[str, str]:
    """Return the two fields of a record that passes the filter."""
    record = logging.makeLogRecord({"msg": "priced", **given})
    assert logged.filter(record)
    return record.correlation_id, record.causation_id  # type: ignore[attr-defined]


def test_log_records_carry_the_ids() -> None:
    """A log record that is made while an event is handled has the event's correlation and causation ids."""
    with caused_by(CAUSE):
        assert fields_of(CorrelationFilter()) == ("stay-7", "event-1")


def test_log_records_outside_have_a_placeholder() -> None:
    """A log record outside handlers has a placeholder in both fields, so that formats may name them."""
    assert fields_of(CorrelationFilter()) == ("-", "-")
    assert fields_of(CorrelationFilter(absent="")) == ("", "")


def test_log_records_keep_fields_that_they_have() -> None:
    """A record that was filled in where it was made is not changed where it is written."""
    with caused_by(CAUSE):
        assert fields_of(CorrelationFilter(), correlation_id="other") == ("other", "event-1")


def test_filter_can_be_named_in_a_configuration() -> None:
    """The filter can be configured by name with `logging.config.dictConfig`."""
    configurator = logging.config.DictConfigurator(
        {"filters": {"correlation": {"()": "domainstream.CorrelationFilter"}}}
    )
    assert isinstance(configurator.configure_filter(configurator.config["filters"]["correlation"]), CorrelationFilter)
