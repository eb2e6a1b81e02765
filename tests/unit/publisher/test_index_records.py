"""The records of messages: three hashes each, whoever made the message."""

from zlib import crc32

import pytest
from support.consuming import EVALUATED, OptimizationEvaluated, evaluated

from domainstream.producer import OutgoingMessage
from domainstream.producer.message_builder import MessageBuilder
from domainstream.publisher.index_records import hash_of, records_of, without_index
from domainstream.publisher.partition_layout import batch_keys
from domainstream.redis.link import Arguments
from domainstream.settings import MessageLimits


def built(event: OptimizationEvaluated) -> OutgoingMessage:
    """Return the message of an event, as a producer builds it."""
    builder: MessageBuilder[OptimizationEvaluated] = MessageBuilder(
        channel_for=lambda _: EVALUATED, source="coding", limits=MessageLimits()
    )
    ((_, message),) = builder.build_many([event])
    assert message is not None
    return message


def test_record_has_the_hashes_of_three_ids() -> None:
    """Subject, correlation id and event id follow each other, in the order that the search relies on."""
    message = OutgoingMessage("orders", "event-1", b"", "stay-1", "visit-1")
    assert records_of([message, message]) == 2 * (hash_of("stay-1") + hash_of("visit-1") + hash_of("event-1"))
    assert hash_of("stay-1") == crc32(b"stay-1").to_bytes(4, "big")


def test_first_event_of_a_transaction_is_found_by_its_id() -> None:
    """An event without a correlation id begins a transaction with its own id."""
    message = OutgoingMessage("orders", "event-1", b"", "stay-1")
    assert records_of([message]) == hash_of("stay-1") + 2 * hash_of("event-1")


@pytest.mark.parametrize("correlation_id", [None, 'visit "é"'])
def test_stored_message_has_the_same_record(correlation_id: str | None) -> None:
    """What an outbox has stored is indexed as it would have been without one."""
    message = built(evaluated(aggregate_id="stay ☃", correlation_id=correlation_id))
    assert message.subject == "stay ☃"
    assert records_of([OutgoingMessage(message.target, message.event_id, message.data)]) == records_of([message])


@pytest.mark.parametrize("data", [b"", b"[" * 100_000, b"\xff", b'{"id":1}', b'{"subject":"stay-1"}'])
def test_message_that_cannot_be_read_has_an_empty_record(data: bytes) -> None:
    """Every message has a record, so that the others are found."""
    assert records_of([OutgoingMessage("orders", "event-1", data)]) == bytes(12)


@pytest.mark.parametrize("target", ["orders", "orders:p1/4"])
def test_call_without_index_has_neither_its_keys_nor_records(target: str) -> None:
    """It is the call of a publisher whose index is switched off."""
    keys, partitions = batch_keys(target, "producer:1", "shop:", index=True)
    plain_keys, _ = batch_keys(target, "producer:1", "shop:", index=False)
    rest = ("1", "60000", "", "", "", partitions)
    plain: Arguments = (*plain_keys, *rest, b"", b"one", b"two")
    assert without_index((*keys, *rest, bytes(24), b"one", b"two")) == plain
    assert without_index(plain) is None
