"""What the map shows of now: how much goes where, what is late, and what is not as it should be."""

import re
from html import unescape
from pathlib import Path

from support.consuming import running, until
from support.dashboards import Channel, Hospital, browsing

from domainstream.queue.bullmq.workers import worker_counts
from domainstream.redis.nodes import RedisNodes
from domainstream.worker import EventConsumer, EventWorker

EXAMPLE = Path(__file__).parents[4] / "examples" / "monorepo"


async def test_queue_without_a_worker_is_red(day: Hospital) -> None:
    """A queue that gets jobs and has no worker is named, with how many jobs are not done and what to do."""
    async with browsing(day.settings()) as browser:
        text = unescape(await browser.page("/map"))
    assert re.search(r"billing has no worker, and \d+ jobs not done. To start one", text)
    assert "no worker</text>" in text


async def test_queue_with_a_worker_is_not(day: Hospital) -> None:
    """Whoever is connected as a worker counts, whether it has a job or not."""
    worker = EventWorker.from_url(day.url, EventConsumer("billing"), bull_prefix=day.bull)
    nodes = RedisNodes.of(day.redis)

    async def is_connected() -> bool:
        counts = await worker_counts(nodes, ["billing"], bull_prefix=day.bull)
        return counts == {"billing": 1}

    async with running(worker), browsing(day.settings()) as browser:
        await until(is_connected)
        text = await browser.page("/map")
    assert "billing has no worker" not in text
    assert "archive has no worker" in text


async def test_channel_that_the_code_does_not_know_is_red(day: Hospital) -> None:
    """With the code of a system, a stream that no channel of it leads to is named."""
    async with browsing(day.settings(system=EXAMPLE)) as browser:
        text = await browser.page("/map")
    assert f"{Channel.DOMAIN_CODING_STAY_CODED.value} is on the server, and the code" in text
    assert "not in the code</text>" in text


async def test_lines_say_what_goes_along_them(day: Hospital) -> None:
    """A line has words: rate and lag on the way to a queue, failed jobs on the way to a handler."""
    async with browsing(day.settings()) as browser:
        text = unescape(await browser.page("/map"))
    assert re.search(r"<title>stay_coded → billing: 0/s, [\d.]+ s behind</title>", text)
    assert "<title>billing → price-stay: 2 failed</title>" in text
    assert re.search(r'class="edge w1 bad seen"', text)
