"""What a delivery becomes."""

import json
from datetime import timedelta
from enum import Enum
from functools import partial
from typing import Any
from zlib import crc32

import pytest
from msgspec.structs import replace
from support.consuming import CALCULATED, EVALUATED, calculated, delivery, evaluated, message, subscriptions_of
from support.partitions import PARTITIONS, stays
from support.partitions import subscriptions as partitioned

from domainstream.errors import ConfigurationError
from domainstream.queue import JobSettings, RoutedEntry
from domainstream.settings import MessageLimits
from domainstream.stream import Delivery
from domainstream.subscriber import AGGREGATE, JobRouter, create_multiple_handlers, to_queue

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


@pytest.mark.parametrize(("key", "expected"), [(None, "opt-1"), ("patient-7", "patient-7")], ids=["aggregate", "key"])
def test_job_goes_to_the_partition_of_its_key(key: str | None, expected: str) -> None:
    """The jobs of an event go to the BullMQ queue of its partition key, or of its aggregate's id without one."""
    handlers = [to_queue("billing", job="bill", partitions=8), to_queue("valuation", job="price")]
    router = JobRouter(create_multiple_handlers({EVALUATED: handlers, CALCULATED: []}))
    jobs = routed(delivery(evaluated(aggregate_id="opt-1", partition_key=key)), router).jobs
    assert [job.queue for job in jobs] == [f"billing-p{crc32(expected.encode()) % 8}", "valuation"]


def test_jobs_of_an_event_share_their_partition() -> None:
    """All jobs that a queue gets of an event are in one partition, under ids of their own."""
    handlers = [to_queue("billing", job=job, partitions=8) for job in ("bill", "book")]
    router = JobRouter(create_multiple_handlers({EVALUATED: handlers, CALCULATED: []}))
    bill, book = routed(delivery(evaluated()), router).jobs
    assert bill.queue == book.queue
    assert bill.id != book.id


def test_stream_with_as_many_partitions_needs_one_of_the_queue() -> None:
    """If channel and queue have the same number of partitions, each stream has one BullMQ queue."""
    router = JobRouter(partitioned(of_queue=PARTITIONS))
    assert router.queues_of("domain_coding_stay_created:p3") == ("valuation-p3",)


@pytest.mark.parametrize("of_queue", [8, 24])
def test_stream_with_another_number_needs_all(of_queue: int) -> None:
    """With another number of partitions, any BullMQ queue of the queue may get jobs of a stream."""
    router = JobRouter(partitioned(of_queue=of_queue))
    assert router.queues_of("domain_coding_stay_created:p3") == tuple(f"valuation-p{n}" for n in range(of_queue))


def test_queues_of_a_channel_without_partitions() -> None:
    """A channel of one stream needs all partitions of its queues, each once."""
    bill = [to_queue("billing", job=job, partitions=2) for job in ("bill", "book")]
    handlers = [*bill, to_queue("valuation", job="price")]
    router = JobRouter(create_multiple_handlers({EVALUATED: handlers, CALCULATED: []}))
    assert router.queues_of(str(EVALUATED)) == ("billing-p0", "billing-p1", "valuation")
    assert router.queues_of(str(CALCULATED)) == ()


@pytest.mark.parametrize("number", range(4))
def test_same_number_means_the_same_partition(number: int) -> None:
    """What the publisher has put into a partition of the channel goes to the same partition of the queue."""
    event = stays(0)[number]
    own = crc32(event.aggregate_id.encode()) % PARTITIONS
    router = JobRouter(partitioned(of_queue=PARTITIONS))
    (job,) = routed(Delivery(f"domain_coding_stay_created:p{own}", "1-1", message(event)), router).jobs
    assert job.queue == f"valuation-p{own}"


def test_stream_decides_over_the_key() -> None:
    """An event in a stream that its key does not belong to goes where the stream's other events go, in their order."""
    event = stays(0)[0]
    other = (crc32(event.aggregate_id.encode()) + 1) % PARTITIONS
    router = JobRouter(partitioned(of_queue=PARTITIONS))
    (job,) = routed(Delivery(f"domain_coding_stay_created:p{other}", "1-1", message(event)), router).jobs
    assert (job.queue,) == router.queues_of(f"domain_coding_stay_created:p{other}")


def test_entries_that_are_routed_again_keep_their_places() -> None:
    """Entries that are routed again, because a queue has lost their jobs, are not behind those that came after them."""
    handlers = [to_queue("valuation", job="price-stay", order_by=AGGREGATE)]
    router = JobRouter(create_multiple_handlers({EVALUATED: handlers, CALCULATED: []}))
    deliveries = [delivery(evaluated(), f"1700000000123-{number}") for number in range(4)]
    first = [entry.jobs[0].order_place for entry in router.route(deliveries)]
    again = [entry.jobs[0].order_place for entry in router.route(deliveries[:3])]
    assert again == first[:3]
    assert first == sorted(first)


class Ward(str, Enum):  # noqa: UP042 - that is the point
    """Keys as a user may define them: members equal their values, and are formatted as `Ward.EAST`."""

    EAST = "ward-east"


def ordered_by(order_by: Any) -> RoutedEntry:
    """Return what an event becomes in a queue with this rule."""
    handlers = [to_queue("valuation", job="price-stay", order_by=order_by)]
    return routed(delivery(evaluated()), JobRouter(create_multiple_handlers({EVALUATED: handlers, CALCULATED: []})))


def returning(key: object) -> Any:
    """Return a rule that returns `key` for every event."""

    def by_key(_: object) -> object:
        return key

    return by_key


@pytest.mark.parametrize(
    ("key", "expected"),
    [("stay-1", "stay-1"), (" ", " "), ("Zürich 🏥", "Zürich 🏥"), ("a:b\n\0", "a:b\n\0"), (Ward.EAST, "ward-east")],
    ids=["text", "blank", "beyond ASCII", "separators", "member of an enum"],
)
def test_text_is_the_key_of_a_job(key: str, expected: str) -> None:
    """Any text that is not empty and that UTF-8 can encode orders a job, a member of an enum as its value."""
    (job,) = ordered_by(returning(key)).jobs
    assert type(job.order_key) is str
    assert job.order_key == expected


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        ("", "returned an empty text"),
        ("stay-\ud800", "returned a text with a lone surrogate, which UTF-8 cannot encode"),
        ("\udfff", "returned a text with a lone surrogate, which UTF-8 cannot encode"),
        (None, "returned a value of type NoneType, not a text"),
        (7, "returned a value of type int, not a text"),
        (b"stay-1", "returned a value of type bytes, not a text"),
        (["stay-1"], "returned a value of type list, not a text"),
    ],
    ids=["empty", "surrogate at the end", "surrogate alone", "None", "number", "bytes", "list"],
)
def test_event_without_a_valid_key_is_a_dead_letter(key: object, problem: str) -> None:
    """What cannot be a key makes the event a dead letter, which says what is wrong, where, why, and what to do."""
    entry = ordered_by(returning(key))
    assert entry.dead_letter
    assert entry.jobs == ()
    assert entry.dead_letter.error == "OrderKeyError"
    assert entry.dead_letter.reason.startswith(
        f"order_by of the queue valuation, the function returning.<locals>.by_key, {problem}; the jobs of the queue "
        "are ordered by what it returns, so it must be a non-empty text of valid Unicode for every event. Fix the "
        f"function, then run: domainstream dead-letters redrive {EVALUATED} [event "
    )


def test_rule_that_raises_makes_a_dead_letter() -> None:
    """The dead letter names the type of the error, whose message may quote the event."""

    def by_patient(_: object) -> str:
        raise LookupError("patient 7")

    dead_letter = ordered_by(by_patient).dead_letter
    assert dead_letter
    assert dead_letter.error == "OrderKeyError"
    assert "by_patient, raised LookupError;" in dead_letter.reason
    assert "patient 7" not in dead_letter.reason


def test_rule_without_a_name_is_named_by_its_class() -> None:
    """A partial has no name of its own."""
    dead_letter = ordered_by(partial(str.removeprefix, "")).dead_letter
    assert dead_letter
    assert "the function partial, raised TypeError;" in dead_letter.reason


@pytest.mark.parametrize("key", ["", "\ud800"], ids=["empty", "surrogate"])
def test_event_without_a_valid_key_holds_up_no_other(key: str) -> None:
    """The events around it, of the same read, become jobs."""
    keys = iter(["a", key, "b"])
    handlers = [to_queue("valuation", job="price-stay", order_by=lambda _: next(keys))]
    router = JobRouter(create_multiple_handlers({EVALUATED: handlers, CALCULATED: []}))
    entries = router.route([delivery(evaluated(), f"1700000000123-{number}") for number in range(3)])
    assert [[job.order_key for job in entry.jobs] for entry in entries] == [["a"], [], ["b"]]
