"""A reply that gets lost leaves no second entry."""

from typing import Any

import pytest
from redis.asyncio import Redis
from support.publishing import IMPATIENT, PATIENT, entries, messages, outcomes

from domainstream import Outcome, RedisStreamPublisherClient
from domainstream.errors import ServerUnavailableError
from domainstream.testing.fault_proxy import FaultProxy


async def test_without_the_protection_a_lost_reply_adds_entries_again(
    redis_url: str, redis: Any, stream_prefix: str
) -> None:
    """Control: redis-py's own retries of a plain XADD leave one entry for each lost reply besides the right one."""
    async with FaultProxy(redis_url) as proxy, Redis(port=int(proxy.url.rpartition(":")[2])) as plain:
        proxy.lose_replies_to(b"XADD", 3)
        await plain.xadd(f"{stream_prefix}orders", {"data": "x"})
    assert await redis.xlen(f"{stream_prefix}orders") == 4


@pytest.mark.parametrize("lost", [1, 3])
async def test_retry_adds_no_second_entry(redis_url: str, redis: Any, stream_prefix: str, lost: int) -> None:
    """However many replies are lost, each message has one entry, and its receipt names that entry."""
    batch = messages("orders", 100)
    async with (
        FaultProxy(redis_url) as proxy,
        RedisStreamPublisherClient.from_url(proxy.url, prefix=stream_prefix, retry=PATIENT) as client,
    ):
        await client.publish(messages("warm-up", 1))
        proxy.lose_replies_to(b"EVALSHA", lost)
        receipts = await client.publish(batch)
        assert proxy.faults == lost
    expected = [(receipt.entry_id, message.data) for receipt, message in zip(receipts, batch, strict=True)]
    assert await entries(redis, f"{stream_prefix}orders") == expected


async def test_retry_after_a_lost_reply_keeps_the_order(redis_url: str, redis: Any, stream_prefix: str) -> None:
    """Batches that come after one whose reply was lost stand behind it."""
    first, second = messages("orders", 50), messages("orders", 50)
    async with (
        FaultProxy(redis_url) as proxy,
        RedisStreamPublisherClient.from_url(proxy.url, prefix=stream_prefix, retry=PATIENT) as client,
    ):
        proxy.lose_replies_to(b"EVAL", 2)
        await client.publish(first)
        await client.publish(second)
    stored = [data for _, data in await entries(redis, f"{stream_prefix}orders")]
    assert stored == [message.data for message in first + second]


async def test_silence_until_the_deadline_is_of_unknown_fate(redis_url: str, stream_prefix: str) -> None:
    """Messages that were sent and never answered are `unknown`, with the reason."""
    async with (
        FaultProxy(redis_url) as proxy,
        RedisStreamPublisherClient.from_url(proxy.url, prefix=stream_prefix, retry=IMPATIENT) as client,
    ):
        await client.publish(messages("orders", 1))
        proxy.swallow()
        receipts = await client.publish(messages("orders", 2))
    assert outcomes(receipts) == {Outcome.UNKNOWN}
    assert isinstance(receipts[0].error, ServerUnavailableError)


async def test_server_that_comes_back_in_time_is_no_failure(redis_url: str, redis: Any, stream_prefix: str) -> None:
    """Messages whose first attempts met silence are published once when the server answers again."""
    batch = messages("orders", 20)
    async with (
        FaultProxy(redis_url) as proxy,
        RedisStreamPublisherClient.from_url(proxy.url, prefix=stream_prefix, retry=PATIENT) as client,
    ):
        proxy.lose_replies_to(b"EVAL", 4)
        receipts = await client.publish(batch)
    assert outcomes(receipts) == {Outcome.PUBLISHED}
    assert len(await entries(redis, f"{stream_prefix}orders")) == 20


async def test_nothing_sent_means_rejected() -> None:
    """Without any connection it is certain that no entry exists, so the messages are `rejected`."""
    async with RedisStreamPublisherClient.from_url("redis://127.0.0.1:1", retry=IMPATIENT) as client:
        receipts = await client.publish(messages("orders", 2))
    assert outcomes(receipts) == {Outcome.REJECTED}
    assert "is it running, and is the URL right?" in str(receipts[0].error)
