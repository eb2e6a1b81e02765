"""What becomes of a delivery."""

from datetime import timedelta

import pytest
from msgspec.structs import replace
from support.consuming import CALCULATED, EVALUATED, calculated, delivery, evaluated, message, subscriptions_of

from domainstream.errors import ConfigurationError
from domainstream.queue import JobSettings, RoutedEntry
from domainstream.settings import MessageLimits
from domainstream.stream import Delivery
from domainstream.subscriber import JobRouter, create_multiple_handlers, to_queue

SUBSCRIPTIONS = subscriptions_of("valuation")


def sorted_one(delivered: Delivery, router: JobRouter | None = None) -> RoutedEntry:
    """Return what becomes of one delivery."""
    (routed_entry,) = (router or JobRouter(SUBSCRIPTIONS)).sort([delivered])
    return routed_entry


def test_each_handler_gets_a_job() -> None:
    """An event becomes one job per handler of its channel, with the handler's queue, name and settings."""
    event, settings = evaluated(), JobSettings(delay=timedelta(minutes=1))
    handlers = [to_queue("valuation", job="price-stay"), to_queue("billing", job="bill-stay", settings=settings)]
    router = JobRouter(create_multiple_handlers({EVALUATED: handlers, CALCULATED: []}))
    jobs = sorted_one(delivery(event), router).jobs
    assert [(job.queue, job.name, job.id, job.settings) for job in jobs] == [
        ("valuation", "price-stay", f"event-{event.id}", JobSettings()),
        ("billing", "bill-stay", f"event-{event.id}", settings),
    ]


def test_two_jobs_in_one_queue_have_ids_of_their_own() -> None:
    """A queue that does two things for one event gets both jobs, instead of taking the second for a repeat."""
    event = evaluated()
    handlers = [to_queue("valuation", job="price"), to_queue("valuation", job="archive")]
    router = JobRouter(create_multiple_handlers({EVALUATED: handlers, CALCULATED: []}))
    ids = [job.id for job in sorted_one(delivery(event), router).jobs]
    assert ids == [f"event-{event.id}.price", f"event-{event.id}.archive"]


@pytest.mark.parametrize("data", [message(calculated()), b"rubbish", None])
def test_channel_without_handlers_has_neither_jobs_nor_letters(data: bytes | None) -> None:
    """Nobody listens: not even an entry that nobody could read is looked at."""
    delivered = Delivery(str(CALCULATED), "1-0", data, deliveries=99)
    assert sorted_one(delivered) == RoutedEntry(delivered)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"rubbish", "HostileJsonError"),
        (b"{}", "InvalidEnvelopeError"),
        (None, "InvalidEnvelopeError"),
        (message(calculated()), "UnknownEventTypeError"),
    ],
    ids=["no JSON", "no event", "no data", "another channel's event"],
)
def test_what_can_never_become_a_job_is_a_dead_letter(data: bytes | None, error: str) -> None:
    """Each reason not to make a job is a letter with the error's name and words."""
    delivered = Delivery(str(EVALUATED), "1-0", data)
    routed_entry = sorted_one(delivered)
    assert routed_entry.letter
    assert routed_entry.jobs == ()
    assert routed_entry.letter.error == error
    assert routed_entry.letter.delivery == delivered
    assert routed_entry.letter.reason


def test_message_beyond_the_limits_is_a_dead_letter() -> None:
    """The limits of messages hold on the way in."""
    router = JobRouter(SUBSCRIPTIONS, MessageLimits(max_bytes=10))
    letter = sorted_one(delivery(evaluated()), router).letter
    assert letter
    assert letter.error == "HostileJsonError"


def test_entry_that_was_delivered_too_often_is_a_dead_letter() -> None:
    """Up to the limit an entry is tried; beyond it, it is not even decoded, since that may be what fails."""
    router = JobRouter(SUBSCRIPTIONS, delivery_limit=3)
    last = replace(delivery(evaluated()), deliveries=3)
    assert sorted_one(last, router).jobs
    letter = sorted_one(replace(last, deliveries=4, data=b"never read"), router).letter
    assert letter
    assert letter.error == "DeliveryLimitError"
    assert "delivered 4 times (limit 3) without being forwarded" in letter.reason


def test_senseless_delivery_limit_is_refused() -> None:
    """An entry must be allowed to be delivered once."""
    with pytest.raises(ConfigurationError, match="delivery_limit is 0"):
        JobRouter(SUBSCRIPTIONS, delivery_limit=0)
