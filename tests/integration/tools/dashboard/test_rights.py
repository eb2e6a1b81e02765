"""The dashboard with the rights of an operator alone, and on a cluster."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.asyncio import Redis
from support.access_rules import rules
from support.dashboards import Hospital, browsing, crawl

from domainstream.redis.topology import TopologyKind

PASSWORD = "sesame"


@pytest.fixture
async def user(hospital: Hospital) -> AsyncIterator[str]:
    """A user of the server who has the rights that the command line needs."""
    name = hospital.prefix.rstrip(":")
    rights = rules(TopologyKind.SINGLE, prefix=hospital.prefix, bull_prefix=hospital.bull)["command line"]
    redis: Any = hospital.redis
    await redis.execute_command("ACL", "SETUSER", name, "on", f">{PASSWORD}", *rights)
    yield name
    await hospital.redis.acl_deluser(name)


async def test_operator_of_the_server_sees_every_page(day: Hospital, user: str) -> None:
    """The rights that the commands need are enough for all pages."""
    url = day.url.replace("redis://", f"redis://{user}:{PASSWORD}@")
    async with browsing(day.settings(url=url)) as browser:
        for path, text in (await crawl(browser)).items():
            assert "could not be read" not in text, path
            assert "NOPERM" not in text, path


async def test_cluster_has_the_same_pages(cluster_url: str, stream_prefix: str) -> None:
    """On a cluster, where BullMQ's names of queues are in braces, every link leads somewhere."""
    async with Redis.from_url(cluster_url.replace("redis+cluster", "redis")) as redis:
        hospital = Hospital(redis, cluster_url, stream_prefix)
        await hospital.open_on_cluster()
        async with browsing(hospital.settings()) as browser:
            found = await crawl(browser)
    assert len(found) > 30
    assert sum(path.startswith("/dead-letters/") for path in found) == 2


async def test_dead_letters_of_a_cluster_are_put_back(cluster_url: str, stream_prefix: str) -> None:
    """An action finds what belongs to a channel on a cluster, too."""
    async with Redis.from_url(cluster_url.replace("redis+cluster", "redis")) as redis:
        hospital = Hospital(redis, cluster_url, stream_prefix)
        await hospital.open_on_cluster()
        async with browsing(hospital.settings()) as browser:
            await browser.agree("/do/redrive-all?channel=domain_coding_stay_coded")
        assert await redis.xlen(hospital.dead) == 0
