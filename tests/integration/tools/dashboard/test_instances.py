"""The page of instances, against real servers with subscribers and workers."""

from base64 import b64encode
from contextlib import AsyncExitStack
from html import unescape
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ResponseError
from support.consuming import running, until
from support.dashboards import Channel, Hospital, browsing, subscriptions

from domainstream.redis.connection import connect
from domainstream.redis.nodes import RedisNodes
from domainstream.stream.reader.turns import CONSUMER
from domainstream.subscriber import RedisBullMQStreamSubscriber
from domainstream.testing.cluster_lab import ClusterLab
from domainstream.tools.common.server import server_of
from domainstream.tools.instances import Instances, read_instances
from domainstream.worker import EventConsumer, EventWorker

CODED = Channel.DOMAIN_CODING_STAY_CODED


def subscriber(hospital: Hospital) -> RedisBullMQStreamSubscriber:
    """Return an instance of billing's subscriber."""
    return RedisBullMQStreamSubscriber.from_url(
        hospital.url,
        group="billing",
        consumer="ward-7",
        subscriptions=subscriptions(),
        prefix=hospital.prefix,
        bull_prefix=hospital.bull,
    )


async def run(client: Any, *words: str) -> None:
    """Run a command that redis-py has no typed method for."""
    await client.execute_command(*words)


async def instances(hospital: Hospital) -> Instances:
    """Return who is there."""
    async with RedisNodes.open(hospital.url) as nodes:
        return await read_instances(server_of(nodes, hospital.prefix), bull_prefix=hospital.bull)


async def test_subscriber_is_listed_with_its_streams(hospital: Hospital) -> None:
    """Who has a lease is there with its group, what it reads, and its last beat."""
    await hospital.code("stay-1")

    async def reads() -> bool:
        return any(one.streams and one.is_member for one in (await instances(hospital)).readers.instances)

    async with running(subscriber(hospital)), browsing(hospital.settings()) as browser:
        await until(reads)
        (one,) = (await instances(hospital)).readers.instances
        text = await browser.page("/instances")
    assert str(CODED) in {stream.channel for stream in one.streams}
    assert one.beat_ms is not None
    assert "ward-7" in text
    assert f'href="/channels/{CODED}"' in text


async def test_worker_is_listed_with_its_queue(hospital: Hospital) -> None:
    """A worker is there with the queue that it works on."""
    worker = EventWorker.from_url(hospital.url, EventConsumer("billing"), bull_prefix=hospital.bull)

    async def works() -> bool:
        return bool((await instances(hospital)).workers)

    async with running(worker), browsing(hospital.settings()) as browser:
        await until(works)
        text = await browser.page("/instances")
    assert 'href="/queues/billing"' in text


async def test_consumer_that_is_gone_is_named_with_what_it_holds(hospital: Hospital, redis: Redis) -> None:
    """Entries that were delivered to a subscriber which has no lease any more are shown as left behind."""
    await hospital.code("stay-1")
    stream = hospital.streams.key(CODED)
    await redis.xgroup_create(stream, "billing", "0")
    await redis.xreadgroup("billing", CONSUMER, {stream: ">"})
    async with browsing(hospital.settings()) as browser:
        text = await browser.page("/instances")
    assert "Left behind" in text
    assert CONSUMER in text


async def test_different_versions_are_a_warning_where_the_server_knows_them(hospital: Hospital) -> None:
    """Two versions are named where the server keeps its clients' libraries; before 7.2 versions are unknown."""
    async with connect(hospital.url) as other, browsing(hospital.settings()) as browser:
        keeps_libraries = True
        try:
            await run(other, "CLIENT", "SETINFO", "LIB-NAME", "redis-py(domainstream_v0.0.1)")
        except ResponseError:
            keeps_libraries = False
        text = unescape(await browser.page("/instances"))
        known = (await instances(hospital)).versions
    assert ("Several versions run side by side" in text) == keeps_libraries
    assert ("0.0.1" in known) == keeps_libraries


async def test_worker_of_another_program_is_listed_by_its_own_name(hospital: Hospital, redis: Redis) -> None:
    """A worker of BullMQ for another language is known by what all of them call their connections."""
    await redis.client_setname(f"{hospital.bull}:{b64encode(b'billing').decode()}:w:old")
    async with browsing(hospital.settings()) as browser:
        text = await browser.page("/instances")
    assert ">old<" in text


async def test_user_who_may_not_list_connections_sees_the_subscribers(hospital: Hospital) -> None:
    """Without `client|list` the page says what is missing, and shows the rest."""
    async with (
        connect(hospital.url) as admin,
        browsing(hospital.settings(url=await limited(admin, hospital))) as browser,
    ):
        text = unescape(await browser.page("/instances"))
        await admin.acl_deluser(hospital.prefix.strip(":"))
    assert "could not be listed" in text
    assert "No subscriber runs" in text


async def limited(admin: Redis, hospital: Hospital) -> str:
    """Return the URL of a user who may do everything but list connections."""
    user = hospital.prefix.strip(":")
    await run(admin, "ACL", "SETUSER", user, "on", ">word", "~*", "&*", "+@all", "-client|list")
    return hospital.url.replace("redis://", f"redis://{user}:word@")


async def test_cluster_lists_each_worker_once_and_the_streams_of_all_nodes(
    cluster: ClusterLab, stream_prefix: str
) -> None:
    """Workers are listed at the node that has their queue, and subscribers with streams on any node."""
    async with Redis.from_url(cluster.nodes[0].url) as redis:
        hospital = Hospital(redis, cluster.url, stream_prefix)
        queues = [f"ward-{number}" for number in range(6)]

        async def all_there() -> bool:
            found = await instances(hospital)
            streams = {stream.channel for one in found.readers.instances for stream in one.streams}
            return len(found.workers) == len(queues) and set(Channel).issuperset(streams) and len(streams) > 1

        async with AsyncExitStack() as stack:
            await stack.enter_async_context(running(subscriber(hospital)))
            for queue in queues:
                worker = EventWorker.from_url(cluster.url, EventConsumer(queue), bull_prefix=hospital.bull)
                await stack.enter_async_context(running(worker))
            await until(all_there)
            found = await instances(hospital)
    assert sorted(one.queue for one in found.workers) == [f"{{{queue}}}" for queue in queues]
    assert found.unlisted == []
