"""The pages of instances, outboxes and retention in Chromium while something is wrong, so that every table has rows."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from integration.outbox.conftest import Store
from integration.outbox.test_outbox_page import hold
from integration.tools.dashboard.test_browser import CHROMIUM, barriers, playwright
from integration.tools.dashboard.test_instances import subscriber
from integration.tools.dashboard.test_live import served
from redis.asyncio import Redis
from support.consuming import running
from support.dashboards import Hospital

from domainstream.stream.reader.turns import CONSUMER
from domainstream.worker import EventConsumer, EventWorker

LONG = "domain_intensive_care_ventilation_parameters_measured"
"""As long as names of channels get."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium was found; to install it, run: apt-get install chromium"),
]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An outbox with a held channel."""
    made = Store(f"sqlite:///{tmp_path}/store.db", f"sqlite+aiosqlite:///{tmp_path}/store.db")
    hold(made)
    yield made
    made.close()


@pytest.fixture
async def troubles(day: Hospital, redis: Redis) -> AsyncIterator[Hospital]:
    """A hospital with a consumer that is gone, a loss, a group near another one, and programs that run."""
    stream, now = f"{day.prefix}{LONG}", (await redis.time())[0] * 1000
    for number in range(9):
        await redis.xadd(stream, {"data": "{}"}, id=f"{now - 3_000_000}-{number}")
    await redis.xgroup_create(stream, "billing", "0")
    await redis.xreadgroup("billing", CONSUMER, {stream: ">"}, count=2)
    await redis.xtrim(stream, maxlen=3, approximate=False)
    worker = EventWorker.from_url(day.url, EventConsumer("billing"), bull_prefix=day.bull)
    async with running(subscriber(day)), running(worker):
        yield day


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_pages_fit_while_something_is_wrong(troubles: Hospital, store: Store, scheme: str, width: int) -> None:
    """With every table filled no page is wider than its window, or has barriers by WCAG AA."""
    words = ("--database-url", store.async_url, "--table", store.outbox.table.name, "--max-unread-age", "1h")
    expected = {"/instances": "Left behind", "/outbox": "Retry", "/retention": "Near a loss"}
    async with served(troubles, *words) as (_, address), playwright.async_playwright() as started:
        browser: Any = await started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = await browser.new_page(color_scheme=scheme, viewport={"width": width, "height": 860})
        for path, heading in expected.items():
            await page.goto(f"{address}{path}")
            assert heading in await page.inner_text("main"), path
            assert await page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, path
            assert await page.evaluate(OVERFLOWING) == [], path
            assert await barriers(page) == [], path
        await browser.close()


async def test_narrow_navigation_shows_where_one_is(day: Hospital) -> None:
    """On a narrow screen the name of the open page is in view, also that of the last one."""
    async with served(day) as (_, address), playwright.async_playwright() as started:
        browser: Any = await started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = await browser.new_page(viewport={"width": 390, "height": 860})
        await page.goto(f"{address}/retention")
        box = await page.locator("nav [aria-current]").bounding_box()
        await browser.close()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390


OVERFLOWING = """() => [...document.querySelectorAll("td")]
  .filter((cell) => cell.scrollWidth > cell.clientWidth + 1)
  .map((cell) => cell.innerText)"""
"""The texts of cells that reach into the next one."""
