"""The dashboard in Chromium: light and dark, wide and narrow, by mouse and by keyboard."""

import re
import shutil
from collections.abc import AsyncIterator
from typing import Any

import pytest
from integration.tools.dashboard.test_live import served
from support.dashboards import Hospital

playwright = pytest.importorskip("playwright.async_api")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PAGES = (
    *("/", "/queues", "/queues/billing", "/failures", "/channels", "/channels/domain_coding_stay_coded"),
    *("/story", "/story?id=stay-101", "/map"),
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium was found; to install it, run: apt-get install chromium"),
]


@pytest.fixture
async def chromium() -> AsyncIterator[Any]:
    """A browser, without a window."""
    async with playwright.async_playwright() as started:
        browser = await started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        await browser.close()


@pytest.mark.parametrize("width", [390, 1360])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_pages_fit_and_load_without_complaints(day: Hospital, chromium: Any, scheme: str, width: int) -> None:
    """No page is wider than its window, is hard to read, or makes the browser complain of what a policy forbids."""
    complaints: list[str] = []
    async with served(day) as (_, address):
        page = await chromium.new_page(color_scheme=scheme, viewport={"width": width, "height": 860})
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        for path in PAGES:
            await page.goto(f"{address}{path}")
            too_wide = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
            assert too_wide <= 0, path
            assert await page.evaluate(LOW_CONTRAST) == [], path
        await page.close()
    assert complaints == []


async def test_held_key_is_retried_by_keyboard(day: Hospital, chromium: Any) -> None:
    """Somebody without a mouse gets from the list of held keys to the sentence that says what was done."""
    async with served(day) as (_, address):
        page = await chromium.new_page()
        await page.goto(f"{address}/queues/billing")
        await page.get_by_role("link", name="Retry", exact=True).first.focus()
        await page.keyboard.press("Enter")
        await page.get_by_role("heading", name=re.compile("Retry what holds key")).wait_for()
        await page.get_by_role("button", name="Retry").focus()
        await page.keyboard.press("Enter")
        await page.get_by_text("1 of 1 retried.").wait_for()


async def test_first_key_leads_past_the_navigation(day: Hospital, chromium: Any) -> None:
    """The first press of Tab offers to skip to the content, visibly."""
    async with served(day) as (_, address):
        page = await chromium.new_page()
        await page.goto(f"{address}/queues")
        await page.keyboard.press("Tab")
        skip = page.get_by_role("link", name="Skip to content")
        assert (await skip.bounding_box())["x"] >= 0
        await page.keyboard.press("Enter")
        assert await page.evaluate("document.activeElement.id") == "content"


async def test_number_changes_on_an_open_page(day: Hospital, chromium: Any) -> None:
    """A count follows the server without a reload."""
    async with served(day) as (_, address):
        page = await chromium.new_page()
        await page.goto(f"{address}/queues")
        await day.redis.zremrangebyrank(f"{day.billing.key}:failed", 0, 0)
        await page.locator('[data-live="queue:billing:failed"]', has_text=re.compile("^1$")).wait_for()


async def test_pages_work_without_javascript(day: Hospital, chromium: Any) -> None:
    """Whoever forbids scripts sees and changes the same."""
    async with served(day) as (_, address):
        page = await (await chromium.new_context(java_script_enabled=False)).new_page()
        await page.goto(f"{address}/failures")
        await page.get_by_role("link", name="Retry").first.click()
        await page.get_by_role("button", name=re.compile("Retry")).click()
        await page.get_by_text("2 of 2 retried.").wait_for()


LOW_CONTRAST = """() => {
  // WCAG AA: 4.5 to 1, or 3 to 1 for large text.
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((one) => {
      const part = one / 255;
      return part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const behind = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const color = parse(getComputedStyle(one).backgroundColor);
      if (color.length < 4 || color[3] > 0.99) return color;
    }
    return [255, 255, 255];
  };
  const low = [];
  for (const element of document.querySelectorAll("main *, .side *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || !element.checkVisibility() || element.closest("svg") || element.matches(".changed")) continue;
    const style = getComputedStyle(element);
    const [a, b] = [light(parse(style.color)), light(behind(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const isLarge = parseFloat(style.fontSize) >= 24;
    if (ratio < (isLarge ? 3 : 4.5)) low.push(`${element.textContent.trim().slice(0, 30)} ${ratio.toFixed(2)}`);
  }
  return low;
}"""
"""Returns the texts of a page that are hard to read."""
