"""The page of retention and losses, against real servers."""

import re
from dataclasses import replace
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from redis.asyncio import Redis
from support.dashboards import Channel, Hospital, browsing

from domainstream.publisher import Retention
from domainstream.redis.nodes import RedisNodes
from domainstream.tools.common.server import server_of
from domainstream.tools.dashboard import DashboardSettings, retention_pages
from domainstream.tools.retention import Look, read_retention

CODED = str(Channel.DOMAIN_CODING_STAY_CODED)


def told(hospital: Hospital, **limits: Any) -> DashboardSettings:
    """Return the settings of a dashboard that was told the publishers' limits."""
    return replace(hospital.settings(), retention=Retention(max_age=timedelta(minutes=1), **limits))


async def fall_behind(hospital: Hospital, redis: Redis, *, stays: int) -> str:
    """Let a group read the first of some stays, and return the key of their stream."""
    for number in range(stays):
        await hospital.code(f"stay-{number}")
    stream = hospital.streams.key(CODED)
    await redis.xgroup_create(stream, "billing", "0")
    found: Any = await redis.xreadgroup("billing", "one", {stream: ">"}, count=1)
    await redis.xack(stream, "billing", found[0][1][0][0])
    return str(stream)


async def test_entries_that_were_removed_unread_are_a_loss(hospital: Hospital, redis: Redis) -> None:
    """What a group had not read when it was trimmed is counted, with the channel and the group."""
    stream = await fall_behind(hospital, redis, stays=5)
    await redis.xtrim(stream, maxlen=1, approximate=False)
    async with browsing(hospital.settings()) as browser:
        text = await browser.page("/retention")
    assert re.search(r'<td class="num bad" data-label="Lost">3</td>', text)
    assert f'href="/channels/{CODED}"' in text


async def test_group_near_the_limit_is_named_with_the_time_left(hospital: Hospital, redis: Redis) -> None:
    """A group whose oldest entry has used most of its time is listed."""
    stream, now = hospital.streams.key(CODED), (await redis.time())[0] * 1000
    await redis.xadd(stream, {"data": "{}"}, id=f"{now - 1_200_000}-0")
    await redis.xgroup_create(stream, "billing", "0")
    async with browsing(told(hospital, max_unread_age=timedelta(minutes=30))) as browser:
        text = await browser.page("/retention")
    assert 'id="near"' in text
    assert re.search(r'Would be lost">\s*<span class="(warn|bad)">in \d+ min', text)


async def test_short_limit_alone_is_no_warning(hospital: Hospital, redis: Redis) -> None:
    """Whoever has just fallen behind has most of the time left, however little that is."""
    await fall_behind(hospital, redis, stays=3)
    async with browsing(told(hospital, max_unread_age=timedelta(minutes=30))) as browser:
        assert 'id="near"' not in await browser.page("/retention")


async def test_group_far_from_the_limit_is_not_listed(hospital: Hospital, redis: Redis) -> None:
    """Whoever has a day left is not near a loss."""
    await fall_behind(hospital, redis, stays=3)
    async with browsing(told(hospital, max_unread_age=timedelta(days=1))) as browser:
        text = await browser.page("/retention")
    assert 'id="near"' not in text
    assert "kept for 1 d" in unescape(text)


async def test_unknown_limits_are_called_unknown(day: Hospital) -> None:
    """The server does not know the limits: without being told, the page claims nothing about them."""
    async with browsing(day.settings()) as browser:
        text = await browser.page("/retention")
    assert "limits unknown" in text
    assert "--max-unread-age" in text


async def test_page_shows_what_streams_and_queues_keep(day: Hospital) -> None:
    """Size, dead letters and how long jobs are kept are there."""
    async with browsing(day.settings()) as browser:
        text = unescape(await browser.page("/retention"))
    assert re.search(r'data-label="Size">[\d.]+ k?B<', text)
    assert re.search(r'data-label="Dead letters"><span class="bad">2<', text)
    assert re.search(r'data-label="Completed jobs">\s*1 h, at most 10,000', text)
    assert re.search(r'data-label="Failed jobs">\s*until removed', text)


async def test_many_channels_are_paged_and_filtered(
    hospital: Hospital, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page has a part of the channels; a filter finds the one that is wanted."""
    monkeypatch.setattr(retention_pages, "ROWS", 10)
    async with redis.pipeline(transaction=False) as pipe:
        for number in range(25):
            pipe.xadd(f"{hospital.prefix}domain_ward_{number:02}", {"data": "{}"})
        await pipe.execute()
    async with browsing(hospital.settings()) as browser:
        first, last = await browser.page("/retention"), await browser.page("/retention?page=3")
        filtered = await browser.page("/retention?q=WARD_17")
        none = unescape(await browser.page("/retention?q=nowhere"))
    assert ("domain_ward_09" in first, "domain_ward_10" in first) == (True, False)
    assert ("domain_ward_19" in last, "domain_ward_24" in last) == (False, True)
    assert 'rel="next"' not in last
    assert ("domain_ward_17" in filtered, "domain_ward_16" in filtered) == (True, False)
    assert "None has “nowhere” in its name" in none


async def test_rate_without_an_earlier_look_is_an_average(hospital: Hospital, redis: Redis) -> None:
    """Who looks for the first time knows the average of what is kept, and that it is one."""
    await fall_behind(hospital, redis, stays=3)
    async with RedisNodes.open(hospital.url) as nodes:
        (found,) = await read_retention(server_of(nodes, hospital.prefix), Retention(), {})
    assert found.rate
    assert not found.is_current


async def test_rate_after_an_earlier_look_is_what_was_added_since(hospital: Hospital, redis: Redis) -> None:
    """Three entries within at least 10 seconds are at most 0.3 a second."""
    await fall_behind(hospital, redis, stays=3)
    async with RedisNodes.open(hospital.url) as nodes:
        server = server_of(nodes, hospital.prefix)
        before = {CODED: Look(added=0, at_ms=await server.streams.now_ms() - 10_000)}
        (found,) = await read_retention(server, Retention(), before)
    assert found.is_current
    assert found.rate is not None
    assert 0 < found.rate <= 0.3
