"""A publisher that waits for replicas says `published` only when they have the entries."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final

import pytest
from redis.asyncio import Redis
from support.publishing import entries, messages, outcomes

from domainstream import Confirm, Outcome, PublisherSettings, Receipt, RedisStreamPublisherClient
from domainstream.errors import ConfigurationError, NotConfirmedError
from domainstream.outbox.settings import RelaySettings
from domainstream.publisher import BatchIdentity, RedisBatchPublisher, redis_batch_publisher
from domainstream.publisher.partition_layout import PUBLISH_BATCH
from domainstream.publisher.pending import Batch
from domainstream.publisher.redis_batch_sender import BatchCalls
from domainstream.redis.link import RedisLink
from domainstream.redis.scripts import Script
from domainstream.settings import RetryPolicy
from domainstream.testing import ServerBinary, server_binaries
from domainstream.testing.cluster_lab import ClusterLab
from domainstream.testing.server_lab import LabNode, wait_until

GIVING_UP: Final = RetryPolicy(deadline=timedelta(seconds=1), attempt_timeout=timedelta(milliseconds=400))
IN_TIME: Final = RetryPolicy(deadline=timedelta(seconds=5), attempt_timeout=timedelta(seconds=1))

pytestmark = pytest.mark.xdist_group("cluster")


@pytest.fixture(scope="module", params=list(server_binaries()), ids=lambda binary: binary.kind)
def replicated(request: pytest.FixtureRequest) -> Iterator[ClusterLab]:
    """One primary with a replica, which has every slot; it does not take a paused replica for dead."""
    binary: ServerBinary = request.param
    with ClusterLab(1, 1, binary=binary.path, node_timeout=timedelta(seconds=60)) as cluster:
        yield cluster


@pytest.fixture
def stalled(replicated: ClusterLab) -> Iterator[ClusterLab]:
    """The same, while the replica takes nothing in."""
    primary, replica = replicated.nodes
    primary.wait_for_replicas()
    replica.pause()
    yield replicated
    replica.resume()
    replicated.wait_ok()


@pytest.fixture
async def primary(replicated: ClusterLab) -> AsyncIterator[Redis]:
    """A plain client of the primary."""
    async with Redis.from_url(replicated.nodes[0].url) as client:
        yield client


def settings(url: str, prefix: str, confirm: Confirm, retry: RetryPolicy = IN_TIME) -> PublisherSettings:
    """Return settings of a publisher that waits for replicas."""
    return PublisherSettings(url=url, prefix=prefix, confirm=confirm, retry=retry)


@pytest.mark.parametrize("confirm", [1, "all"])
async def test_receipts_say_how_many_replicas_have_the_event(
    replicated: ClusterLab, stream_prefix: str, confirm: Confirm
) -> None:
    """Events that every replica has are published, and their receipts say so."""
    async with RedisStreamPublisherClient.from_url(replicated.url, prefix=stream_prefix, confirm=confirm) as client:
        receipts = await client.publish(messages("orders", 5))
        receipts += await client.publish(messages("orders", 5))
    assert outcomes(receipts) == {Outcome.PUBLISHED}
    assert {receipt.confirmed_by for receipt in receipts} == {1}


@pytest.mark.parametrize("confirm", [1, "all"])
async def test_stalled_replica_makes_the_outcome_unknown(
    stalled: ClusterLab, primary: Any, stream_prefix: str, confirm: Confirm
) -> None:
    """What no replica confirms by the deadline is `unknown`; all attempts together have added it once."""
    wanted = settings(stalled.url, stream_prefix, confirm, GIVING_UP)
    async with RedisStreamPublisherClient.from_settings(wanted) as client:
        receipts = await client.publish(messages("orders", 2))
    assert outcomes(receipts) == {Outcome.UNKNOWN}
    assert isinstance(receipts[0].error, NotConfirmedError)
    assert "0 of 1 replicas confirmed" in str(receipts[0].error)
    assert len(await entries(primary, f"{stream_prefix}orders")) == 2


async def test_control_without_waiting(stalled: ClusterLab, stream_prefix: str) -> None:
    """Control: a publisher that does not wait says `published` of what no replica has."""
    async with RedisStreamPublisherClient.from_url(stalled.url, prefix=stream_prefix) as client:
        receipts = await client.publish(messages("orders", 2))
    assert outcomes(receipts) == {Outcome.PUBLISHED}
    assert receipts[0].confirmed_by is None


async def test_more_replicas_than_there_are(replicated: ClusterLab, stream_prefix: str) -> None:
    """Two replicas cannot confirm where there is one."""
    wanted = settings(replicated.url, stream_prefix, 2, GIVING_UP)
    async with RedisStreamPublisherClient.from_settings(wanted) as client:
        receipts = await client.publish(messages("orders", 1))
    assert "of 2 replicas confirmed" in str(receipts[0].error)


async def test_server_without_replicas_confirms_nothing(redis_url: str, stream_prefix: str) -> None:
    """All replicas are at least one, so that a server that has lost its replicas does not confirm by itself."""
    async with RedisStreamPublisherClient.from_settings(settings(redis_url, stream_prefix, "all", GIVING_UP)) as client:
        receipts = await client.publish(messages("orders", 1))
    assert outcomes(receipts) == {Outcome.UNKNOWN}


@pytest.mark.parametrize("confirm", [1, "all"])
async def test_call_that_waits_through_a_client_that_does_not(
    replicated: ClusterLab, stream_prefix: str, confirm: Confirm
) -> None:
    """A call says how many replicas it waits for; calls beside it do not wait, and their receipts claim nothing."""
    async with RedisStreamPublisherClient.from_url(replicated.url, prefix=stream_prefix) as client:
        calls = [client.publish(messages("orders", 1), confirm=confirm if number % 2 else None) for number in range(6)]
        receipts = [receipt for some in await asyncio.gather(*calls) for receipt in some]
    assert outcomes(receipts) == {Outcome.PUBLISHED}
    assert [receipt.confirmed_by for receipt in receipts] == [None, 1] * 3


async def test_call_that_does_not_wait_through_a_client_that_does(stalled: ClusterLab, stream_prefix: str) -> None:
    """`confirm=0` publishes what no replica has, also where the settings wait for all."""
    wanted = settings(stalled.url, stream_prefix, "all", GIVING_UP)
    async with RedisStreamPublisherClient.from_settings(wanted) as client:
        (quick,) = await client.publish(messages("orders", 1), confirm=0)
        (sure,) = await client.publish(messages("orders", 1))
    assert (quick.outcome, quick.confirmed_by) == (Outcome.PUBLISHED, None)
    assert sure.outcome is Outcome.UNKNOWN


async def repeated(cluster: ClusterLab, prefix: str, script: Script) -> int:
    """Add a batch without waiting; return how many replicas confirm the repeat over another connection."""
    batch = Batch("orders")
    batch.messages = messages("orders", 2)
    call = BatchCalls(PublisherSettings(prefix=prefix)).arguments(batch)
    first, second = (RedisLink.from_url(cluster.nodes[0].url) for _ in range(2))
    (added,) = await first.eval_each(script, [call])
    (confirmed,) = await second.eval_each_confirmed(script, [call], confirm=1, seconds=0.3)
    assert confirmed.reply == added
    await first.close()
    await second.close()
    return int(confirmed.replicas)


async def test_repeat_over_another_connection_is_waited_for(stalled: ClusterLab, stream_prefix: str) -> None:
    """A repeat that only recalls the ids of its batch is not confirmed while the replica is stalled."""
    assert await repeated(stalled, stream_prefix, PUBLISH_BATCH) == 0


async def test_control_repeat_that_writes_nothing(stalled: ClusterLab, stream_prefix: str) -> None:
    """Control: if the repeat wrote nothing, Valkey would count a replica that does not have the batch."""
    if not stalled.nodes[0].info("server").get("valkey_version"):
        pytest.skip("Redis 7.0 counts from what the server has written, not the connection")
    silent = Script.of(PUBLISH_BATCH.text.replace("redis.pcall('PEXPIRE', last_batch, dedup_ms)", "1"))
    assert await repeated(stalled, stream_prefix, silent) == 1


async def test_relay_sends_again_until_replicas_confirm(
    stalled: ClusterLab, primary: Any, stream_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relay's batch that no replica has is an error, as if there had been no answer; its repeat adds nothing."""
    monkeypatch.setattr(redis_batch_publisher, "NODE_TIMEOUT", 0.5)
    identity, batch = BatchIdentity("relay1", 1), messages("orders", 3)
    publisher = RedisBatchPublisher.from_url(stalled.url, prefix=stream_prefix, confirm=1)
    with pytest.raises(NotConfirmedError, match="0 of 1 replicas confirmed"):
        await publisher.send(batch, identity)
    stalled.nodes[1].resume()
    stalled.wait_ok()
    assert await publisher.send(batch, identity) == {}
    await publisher.close()
    assert [data for _, data in await entries(primary, f"{stream_prefix}orders")] == [each.data for each in batch]


@pytest.fixture(scope="module", params=list(server_binaries()), ids=lambda binary: binary.kind)
def on_disk(request: pytest.FixtureRequest) -> Iterator[ClusterLab]:
    """A primary with a replica, which keep what they are given in files."""
    binary: ServerBinary = request.param
    options = ("--appendonly", "yes", "--appendfsync", "always")
    with ClusterLab(1, 1, binary=binary.path, node_timeout=timedelta(seconds=60), options=options) as cluster:
        cluster.nodes[0].wait_for_replicas()
        yield cluster


def knows_waitaof(cluster: ClusterLab) -> bool:
    """Return whether servers can wait for disks."""
    return bool(cluster.nodes[0].command("COMMAND", "INFO", "WAITAOF")[0])


@contextmanager
def without_file(node: LabNode) -> Iterator[None]:
    """Let a node keep what it is given in memory only."""

    def is_complete() -> bool:
        known = node.info("persistence")
        return not known["aof_rewrite_in_progress"] and not known["aof_rewrite_scheduled"]

    node.command("CONFIG", "SET", "appendonly", "no")
    yield
    node.command("CONFIG", "SET", "appendonly", "yes")
    wait_until(is_complete, "a new file")


async def published_to_disk(cluster: ClusterLab, prefix: str, retry: RetryPolicy = IN_TIME) -> Receipt:
    """Publish one event that all disks must have."""
    async with RedisStreamPublisherClient.from_settings(settings(cluster.url, prefix, "fsync", retry)) as client:
        (receipt,) = await client.publish(messages("orders", 1))
    return receipt


async def test_disks_confirm(on_disk: ClusterLab, stream_prefix: str) -> None:
    """What the disks of the primary and its replica have is published; an older server is sent nothing."""
    receipt = await published_to_disk(on_disk, stream_prefix)
    if knows_waitaof(on_disk):
        assert (receipt.outcome, receipt.confirmed_by) == (Outcome.PUBLISHED, 1)
    else:
        assert receipt.outcome is Outcome.REJECTED
        assert "Redis 7.2 or later" in str(receipt.error)
        assert on_disk.nodes[0].command("EXISTS", f"{stream_prefix}orders") == 0


async def test_replica_without_a_file_does_not_confirm(on_disk: ClusterLab, stream_prefix: str) -> None:
    """A replica that has the event in memory only is not counted."""
    if not knows_waitaof(on_disk):
        pytest.skip("this server cannot wait for disks")
    with without_file(on_disk.nodes[1]):
        receipt = await published_to_disk(on_disk, stream_prefix, GIVING_UP)
    assert receipt.outcome is Outcome.UNKNOWN
    assert "0 of 1 replicas confirmed" in str(receipt.error)


async def test_primary_without_a_file_is_sent_nothing(replicated: ClusterLab, stream_prefix: str) -> None:
    """A server that keeps nothing on disk rejects the event, and the error says what to do."""
    receipt = await published_to_disk(replicated, stream_prefix)
    assert receipt.outcome is Outcome.REJECTED
    assert "CONFIG SET appendonly yes" in str(receipt.error) or not knows_waitaof(replicated)


async def test_primary_that_stops_writing_its_file(on_disk: ClusterLab, stream_prefix: str) -> None:
    """A primary whose file is switched off confirms nothing more, also on a connection that it confirmed on before."""
    if not knows_waitaof(on_disk):
        pytest.skip("this server cannot wait for disks")
    wanted = settings(on_disk.url, stream_prefix, "fsync", IN_TIME)
    async with RedisStreamPublisherClient.from_settings(wanted) as client:
        assert outcomes(await client.publish(messages("orders", 1))) == {Outcome.PUBLISHED}
        with without_file(on_disk.nodes[0]):
            (receipt,) = await client.publish(messages("orders", 1))
    assert receipt.outcome is Outcome.UNKNOWN
    assert "appendonly" in str(receipt.error)


@pytest.mark.parametrize("confirm", [0, -1, True, "most", 1.5])
def test_what_cannot_be_waited_for(confirm: Any) -> None:
    """A wrong number of replicas is refused."""
    with pytest.raises(ConfigurationError, match="confirm must be"):
        PublisherSettings(confirm=confirm)
    with pytest.raises(ConfigurationError, match="confirm must be"):
        RelaySettings(confirm=confirm)
