"""The lines of lag, in Chromium."""

from typing import Any

import pytest
from integration.tools.dashboard.test_browser import CHROMIUM, barriers, chromium
from integration.tools.dashboard.test_live import served
from support.dashboards import Hospital

__all__ = ["chromium"]

LINE = '[data-history="group:domain_coding_stay_coded:billing:oldest_ms"] .line'

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium was found; to install it, run: apt-get install chromium"),
]


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_lag_becomes_a_line(day: Hospital, chromium: Any, scheme: str, width: int) -> None:
    """An open page draws the numbers that it receives, without barriers, complaints, or a page that is too wide."""
    complaints: list[str] = []
    async with served(day) as (_, address):
        page = await chromium.new_page(color_scheme=scheme, viewport={"width": width, "height": 860})
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        await page.goto(f"{address}/latency")
        await page.locator(LINE).wait_for(state="attached")
        assert await page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        assert await barriers(page) == []
        await page.close()
    assert complaints == []


async def test_line_goes_on_after_a_reload(day: Hospital, chromium: Any) -> None:
    """What a tab has received is kept, with a gap for the time between."""
    async with served(day) as (_, address):
        page = await chromium.new_page()
        await page.goto(f"{address}/latency")
        await page.locator(LINE).wait_for(state="attached")
        await page.reload()
        await page.locator(LINE).wait_for(state="attached")
        assert (await page.locator(LINE).get_attribute("d")).count("M") == 2
