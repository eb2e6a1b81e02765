"""What a delivery becomes."""

import json
from datetime import timedelta

import pytest
from msgspec.structs import replace
from support.consuming import CALCULATED, EVALUATED, calculated, delivery, evaluated, message, subscriptions_of
from support.partitions import stays
from support.partitions import subscriptions as partitioned

from domainstream.errors import ConfigurationError
from domainstream.queue import JobSettings, RoutedEntry
from domainstream.settings import MessageLimits
from domainstream.stream import Delivery
from domainstream.subscriber import JobRouter, create_multiple_handlers, to_queue

SUBSCRIPTIONS = subscriptions_of("valuation")


def routed(delivered: Delivery, router: JobRouter | None = None) -> RoutedEntry:
    """Return what one delivery becomes."""
    (entry,) = (router or JobRouter(SUBSCRIPTIONS)).route([delivered])
    return entry


def test_each_handler_gets_a_job() -> None:
    """An event becomes one job per handler of its channel, with the handler's queue, name and settings."""
    event, settings = evaluated(), JobSettings(delay=timedelta(minutes=1))
    handlers = [to_queue("valuation", job="price-stay"), to_queue("billing", job="bill-stay", settings=settings)]
    router = JobRouter(create_multiple_handlers({EVALUATED: handlers, CALCULATED: []}))
    jobs = routed(delivery(event), router).jobs
    assert [(job.queue, job.name, job.id, job.settings) for job in jobs] == [
        ("valuation", "price-stay", f"event-{event.id}", JobSettings()),
        ("billing", "bill-stay", f"event-{event.id}", settings),
    ]


def test_two_jobs_in_one_queue_have_ids_of_their_own() -> None:
    """A queue that does two things for one event gets both jobs; the second is not taken for a repeat."""
    event = evaluated()
    handlers = [to_queue("valuation", job="price"), to_queue("valuation", job="archive")]
    router = JobRouter(create_multiple_handlers({EVALUATED: handlers, CALCULATED: []}))
    ids = [job.id for job in routed(delivery(event), router).jobs]
    assert ids == [f"event-{event.id}.price", f"event-{event.id}.archive"]


@pytest.mark.parametrize("data", [message(calculated()), b"rubbish", None])
def test_channel_without_handlers_has_neither_jobs_nor_dead_letters(data: bytes | None) -> None:
    """Without handlers not even an undecodable entry is decoded; it is acknowledged."""
    delivered = Delivery(str(CALCULATED), "1-0", data, deliveries=99)
    assert routed(delivered) == RoutedEntry(delivered)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"rubbish", "HostileJsonError"),
        (b"{}", "InvalidEnvelopeError"),
        (None, "InvalidEnvelopeError"),
        (message(calculated()), "UnknownEventTypeError"),
    ],
    ids=["not JSON", "not an event", "no data", "another channel's event"],
)
def test_what_can_never_become_a_job_is_a_dead_letter(data: bytes | None, error: str) -> None:
    """Each reason not to make a job becomes a dead letter with the name and the message of the error."""
    delivered = Delivery(str(EVALUATED), "1-0", data)
    entry = routed(delivered)
    assert entry.dead_letter
    assert entry.jobs == ()
    assert entry.dead_letter.error == error
    assert entry.dead_letter.delivery == delivered
    assert entry.dead_letter.reason


def test_message_beyond_the_limits_is_a_dead_letter() -> None:
    """The limits of messages apply to what is read, too."""
    router = JobRouter(SUBSCRIPTIONS, MessageLimits(max_bytes=10))
    dead_letter = routed(delivery(evaluated()), router).dead_letter
    assert dead_letter
    assert dead_letter.error == "HostileJsonError"


def test_entry_that_was_delivered_too_often_is_a_dead_letter() -> None:
    """Up to the limit an entry is decoded; beyond it, it is not, because decoding may be what crashes."""
    router = JobRouter(SUBSCRIPTIONS, delivery_limit=3)
    last = replace(delivery(evaluated()), deliveries=3)
    assert routed(last, router).jobs
    dead_letter = routed(replace(last, deliveries=4, data=b"never read"), router).dead_letter
    assert dead_letter
    assert dead_letter.error == "DeliveryLimitError"
    assert "delivered 4 times (limit 3) without being forwarded" in dead_letter.reason


def test_delivery_limit_of_zero_is_rejected() -> None:
    """An entry must be allowed at least one delivery."""
    with pytest.raises(ConfigurationError, match="delivery_limit is 0"):
        JobRouter(SUBSCRIPTIONS, delivery_limit=0)


def test_partition_belongs_to_its_channel() -> None:
    """An entry of a partition becomes the jobs of its channel, whose handlers see the channel and not the partition."""
    event = stays(0)[0]
    router = JobRouter(partitioned())
    (job,) = routed(Delivery("domain_coding_stay_created:p3", "1700000000123-0", message(event)), router).jobs
    assert job.queue == "valuation"
    assert json.loads(job.data)["_redisEvent"]["name"] == "domain_coding_stay_created"
    assert router.handlers_of("domain_coding_stay_created:p3") == router.handlers_of("domain_coding_stay_created:p0")


def test_partition_takes_events_of_its_channel_alone() -> None:
    """An event of another type in a partition becomes a dead letter, which names the channel."""
    delivered = Delivery("domain_coding_stay_created:p3", "1700000000123-0", message(evaluated()))
    dead = routed(delivered, JobRouter(partitioned())).dead_letter
    assert dead is not None
    assert "channel domain_coding_stay_created carries events of its own type" in dead.reason
