"""Each way in which a server says no has its own consequence."""

from typing import Any

import pytest
from redis.asyncio import Redis
from support.publishing import IMPATIENT, PATIENT, entries, messages, outcomes

from domainstream import Outcome, RedisStreamPublisherClient
from domainstream.errors import ServerIsClusterError, ServerOutOfMemoryError, ServerRefusedError
from domainstream.testing import EmbeddedServer, server_binaries
from domainstream.testing.fault_proxy import FaultProxy

SOON_READY = [
    b"-LOADING Redis is loading the dataset in memory",
    b"-TRYAGAIN Multiple keys request during rehashing of slot",
    b"-CLUSTERDOWN The cluster is down",
    b"-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    b"-READONLY You can't write against a read only replica.",
    b"-NOREPLICAS Not enough good replicas to write.",
    b"-MISCONF Redis is configured to save RDB snapshots, but it is currently unable to persist to disk.",
    b"-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
]


@pytest.mark.parametrize("answer", SOON_READY, ids=lambda answer: answer[1:].split()[0].decode())
async def test_server_that_is_soon_ready_is_asked_again(
    redis_url: str, redis: Any, stream_prefix: str, answer: bytes
) -> None:
    """Answers that will change in a moment are waited out, and the messages are published once."""
    async with (
        FaultProxy(redis_url) as proxy,
        RedisStreamPublisherClient.from_url(proxy.url, prefix=stream_prefix, retry=PATIENT) as client,
    ):
        proxy.answer(b"EVAL", answer, answer)
        receipts = await client.publish(messages("orders", 3))
        assert proxy.faults == 2
    assert outcomes(receipts) == {Outcome.PUBLISHED}
    assert len(await entries(redis, f"{stream_prefix}orders")) == 3


async def test_server_that_stays_unready_rejects(redis_url: str, stream_prefix: str) -> None:
    """A server that loads until the deadline has certainly stored nothing."""
    async with (
        FaultProxy(redis_url) as proxy,
        RedisStreamPublisherClient.from_url(proxy.url, prefix=stream_prefix, retry=IMPATIENT) as client,
    ):
        proxy.answer(b"EVAL", *[SOON_READY[0]] * 1_000)
        receipts = await client.publish(messages("orders", 1))
    assert outcomes(receipts) == {Outcome.REJECTED}


async def test_cluster_node_is_refused_with_the_reason(redis_url: str, stream_prefix: str) -> None:
    """MOVED is not followed: the messages are rejected, and the error says that the server is a cluster."""
    async with (
        FaultProxy(redis_url) as proxy,
        RedisStreamPublisherClient.from_url(proxy.url, prefix=stream_prefix, retry=PATIENT) as client,
    ):
        proxy.answer(b"EVAL", b"-MOVED 3999 127.0.0.1:6381")
        receipts = await client.publish(messages("orders", 1))
    assert outcomes(receipts) == {Outcome.REJECTED}
    assert isinstance(receipts[0].error, ServerIsClusterError)


async def test_refusal_after_a_lost_reply_is_of_unknown_fate(redis_url: str, stream_prefix: str) -> None:
    """Once an attempt may have reached the server, a later refusal cannot make the messages `rejected`."""
    async with (
        FaultProxy(redis_url) as proxy,
        RedisStreamPublisherClient.from_url(proxy.url, prefix=stream_prefix, retry=PATIENT) as client,
    ):
        await client.publish(messages("orders", 1))
        proxy.lose_replies_to(b"EVALSHA", 1)
        proxy.after_losses(b"-NOPERM this user has no permissions to run the 'evalsha' command")
        receipts = await client.publish(messages("orders", 1))
    assert outcomes(receipts) == {Outcome.UNKNOWN}


async def test_server_without_the_script_gets_it(redis_url: str, redis: Any, stream_prefix: str) -> None:
    """After SCRIPT FLUSH the messages are published all the same, once."""
    async with RedisStreamPublisherClient.from_url(redis_url, prefix=stream_prefix, retry=PATIENT) as client:
        await client.publish(messages("orders", 1))
        await redis.script_flush()
        receipts = await client.publish(messages("orders", 2))
    assert outcomes(receipts) == {Outcome.PUBLISHED}
    assert len(await entries(redis, f"{stream_prefix}orders")) == 3


@pytest.mark.parametrize(
    ("denied", "outcome", "added"), [("-xrange", Outcome.PUBLISHED, 3), ("-set", Outcome.REJECTED, 0)]
)
async def test_missing_permission_is_reported_as_it_is(
    redis_url: str, redis: Any, stream_prefix: str, denied: str, outcome: Outcome, added: int
) -> None:
    """A user who may not trim publishes all the same; one who may not remember a batch adds nothing."""
    user = stream_prefix.rstrip(":")
    await redis.execute_command("ACL", "SETUSER", user, "on", "nopass", "~*", "+@all", denied)
    url = redis_url.replace("redis://", f"redis://{user}:x@")
    async with RedisStreamPublisherClient.from_url(url, prefix=stream_prefix, retry=PATIENT) as client:
        receipts = await client.publish(messages("orders", 3))
    await redis.acl_deluser(user)
    assert outcomes(receipts) == {outcome}
    assert len(await entries(redis, f"{stream_prefix}orders")) == added


async def test_refusal_once_entries_exist_is_no_rejection(redis_url: str, redis: Any, stream_prefix: str) -> None:
    """When the script fails after it has added an entry, as for want of a further id, none is called rejected."""
    largest = 2**64 - 1
    await redis.xadd(f"{stream_prefix}orders", {"data": "before"}, id=f"{largest}-{largest - 1}")
    async with RedisStreamPublisherClient.from_url(redis_url, prefix=stream_prefix, retry=PATIENT) as client:
        receipts = await client.publish(messages("orders", 3))
    assert outcomes(receipts) == {Outcome.UNKNOWN}
    assert len(await entries(redis, f"{stream_prefix}orders")) == 2


async def test_partial_failure_is_exact(redis_url: str, redis: Any, stream_prefix: str) -> None:
    """When one channel's key is no stream, its messages are rejected and those of the other channels are published."""
    await redis.set(f"{stream_prefix}broken", "not a stream")
    batch = messages("orders", 2) + messages("broken", 2) + messages("invoices", 1)
    async with RedisStreamPublisherClient.from_url(redis_url, prefix=stream_prefix, retry=PATIENT) as client:
        receipts = await client.publish(batch)
    assert [receipt.outcome for receipt in receipts] == [Outcome.PUBLISHED] * 2 + [Outcome.REJECTED] * 2 + [
        Outcome.PUBLISHED
    ]
    assert isinstance(receipts[2].error, ServerRefusedError)
    assert len(await entries(redis, f"{stream_prefix}orders")) == 2


@pytest.mark.parametrize("binary", server_binaries(), ids=lambda binary: binary.kind)
async def test_full_server_rejects_and_stores_nothing(binary: object) -> None:
    """With maxmemory reached nothing is stored, and the error says what to type."""
    with EmbeddedServer(binary.path) as server:  # type: ignore[attr-defined]
        async with Redis.from_url(server.url) as redis, RedisStreamPublisherClient.from_url(server.url) as client:
            await client.publish(messages("orders", 1))
            await redis.config_set("maxmemory", "1")
            receipts = await client.publish(messages("orders", 2))
            assert outcomes(receipts) == {Outcome.REJECTED}
            assert isinstance(receipts[0].error, ServerOutOfMemoryError)
            assert "CONFIG SET maxmemory" in str(receipts[0].error)
            assert await redis.xlen("orders") == 1


async def test_wrong_password_is_reported_at_once_and_not_shown(redis_url: str) -> None:
    """A refused login rejects without waiting for the deadline, and no error shows the password."""
    url = redis_url.replace("redis://", "redis://nobody:s3cret@")
    async with RedisStreamPublisherClient.from_url(url) as client:
        receipts = await client.publish(messages("orders", 1))
    assert outcomes(receipts) == {Outcome.REJECTED}
    assert isinstance(receipts[0].error, ServerRefusedError)
    assert "s3cret" not in str(receipts[0].error)
