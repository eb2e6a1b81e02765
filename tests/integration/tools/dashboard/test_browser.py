"""The dashboard in Chromium: light and dark, wide and narrow, by mouse and by keyboard."""

import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from integration.tools.dashboard.test_live import served
from support.dashboards import Hospital

playwright = pytest.importorskip("playwright.async_api")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PAGES = (
    *("/", "/queues", "/queues/billing", "/failures", "/channels", "/channels/domain_coding_stay_coded"),
    *("/story", "/story?id=stay-101", "/map", "/instances", "/outbox", "/latency", "/retention", "/latency"),
    *("/contracts", "/contracts/domain_coding_medical_stay_created", "/catalogue"),
)

EXAMPLE = Path(__file__).parents[4] / "examples" / "monorepo"
AXE = Path(__file__).parents[3] / "accessibility" / "node_modules" / "axe-core" / "axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]

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


async def barriers(page: Any) -> list[str]:
    """Return what on a page keeps people from using it, as axe-core finds it; nothing if that is not installed."""
    if not AXE.is_file():
        return []
    await page.evaluate(AXE.read_text(encoding="utf-8"))
    found = await page.evaluate("(rules) => axe.run(document, {runOnly: rules})", RULES)
    return [f"{one['id']}: {one['nodes'][0]['target']}" for one in found["violations"]]


@pytest.mark.parametrize("width", [390, 1360])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_pages_fit_and_load_without_complaints(day: Hospital, chromium: Any, scheme: str, width: int) -> None:
    """No page is wider than its window, has barriers by WCAG AA, or makes the browser complain of what is forbidden."""
    complaints: list[str] = []
    async with served(day, "--system", str(EXAMPLE)) as (_, address):
        page = await chromium.new_page(color_scheme=scheme, viewport={"width": width, "height": 860})
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        for path in PAGES:
            await page.goto(f"{address}{path}")
            too_wide = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
            assert too_wide <= 0, path
            assert await barriers(page) == [], path
        await page.close()
    assert complaints == []


async def test_search_of_the_catalogue_says_when_nothing_is_found(day: Hospital, chromium: Any) -> None:
    """A search leaves only the channels with its words, and without any it says so; Escape ends it."""
    async with served(day, "--system", str(EXAMPLE)) as (_, address):
        page = await chromium.new_page()
        await page.goto(f"{address}/catalogue")
        await page.keyboard.press("/")
        await page.keyboard.type("pricing_calculated amount")
        await page.get_by_text("1 of 8 channels").wait_for()
        assert await page.locator("article:visible").count() == 1
        assert await page.locator(".contents li:visible").count() == 1
        await page.keyboard.type(" nonsense")
        await page.get_by_text("No hits.").wait_for()
        await page.keyboard.press("Escape")
        await page.get_by_text("8 of 8 channels").wait_for()
        assert not await page.get_by_text("No hits.").is_visible()


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
