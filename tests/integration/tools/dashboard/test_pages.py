"""The pages of the dashboard, against a server with a small hospital's events."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from support.dashboards import HOSTILE, Browser, Hospital, browsing, crawl, write_code

from domainstream.errors import ConfigurationError
from domainstream.queue.bullmq.order import BullMQOrder, HeldKey
from domainstream.tools import event_search
from domainstream.tools.dashboard import pages
from domainstream.tools.dashboard.cached import Cached
from domainstream.tools.dashboard.facts import ChannelFacts
from domainstream.tools.doctor.finding import Finding

EXAMPLE = Path(__file__).parents[4] / "examples" / "monorepo"
PAGES = (
    "/",
    "/queues",
    "/failures",
    "/channels",
    "/story",
    "/map",
    "/instances",
    "/outbox",
    "/retention",
    "/contracts",
)
CODED = "/channels/domain_coding_stay_coded"


@pytest.mark.parametrize("path", PAGES)
async def test_empty_server_has_pages_that_say_so(hospital: Hospital, path: str) -> None:
    """Without any stream or queue every page is there."""
    async with browsing(hospital.settings()) as browser:
        assert "<h1>" in await browser.page(path)


async def test_no_link_leads_nowhere(day: Hospital) -> None:
    """Every page that any page leads to is there, and none of them shows data as markup or has inline code."""
    async with browsing(day.settings(system=EXAMPLE)) as browser:
        found = await crawl(browser)
    assert len(found) > 50
    for path, text in found.items():
        assert HOSTILE not in text, path
        assert not re.search(r"<script(?![^>]* src=)|<style|\son\w+=|\sstyle=", text), path


async def test_pages_forbid_what_they_do_not_need(hospital: Hospital) -> None:
    """Every response, also one that is not a page, keeps browsers from loading anything from elsewhere."""
    async with browsing(hospital.settings()) as browser:
        for path in ("/", "/static/dashboard.css", "/nowhere"):
            policy = (await browser.get(path)).headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy


async def test_overview_says_what_the_doctor_finds(day: Hospital) -> None:
    """Problems and warnings are there in words, with their fixes, and how much there is of what needs care."""
    async with browsing(day.settings()) as browser:
        text = unescape(await browser.page("/"))
    assert "billing has 2 held keys" in text
    assert "domainstream order ls billing" in text
    assert re.search(r'data-live="total:failed">3<', text)


async def test_overview_does_not_wait_for_a_slow_doctor(hospital: Hospital, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the doctor looks at millions of keys, the page says so, and asks again by itself."""
    monkeypatch.setattr(pages, "PATIENCE", 0.01)

    async def never() -> Sequence[Finding]:
        await asyncio.Event().wait()
        return []

    async with browsing(hospital.settings()) as browser:
        browser.dashboard.facts.findings = Cached(never, seconds=1)
        response = await browser.get("/")
    assert "The doctor is looking" in response.text
    assert response.headers["refresh"] == "2"


async def test_overview_does_not_wait_for_a_long_search(hospital: Hospital, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the search for channels goes on, the page says that its numbers are still being read."""
    monkeypatch.setattr(pages, "PATIENCE", 0.01)

    async def never() -> list[ChannelFacts]:
        await asyncio.Event().wait()
        return []

    async with browsing(hospital.settings()) as browser:
        browser.dashboard.facts.channels = Cached(never, seconds=1)
        response = await browser.get("/")
    assert response.text.count("still being read") == 7
    assert response.headers["refresh"] == "2"


async def test_overview_lists_the_first_of_many_findings(hospital: Hospital) -> None:
    """A thousand findings do not make a page of a thousand rows: it says where the others are."""

    async def many() -> Sequence[Finding]:
        return [Finding(status="warning", check="groups", words=f"number {number}") for number in range(1000)]

    async with browsing(hospital.settings()) as browser:
        browser.dashboard.facts.findings = Cached(many, seconds=60)
        text = await browser.page("/")
    assert "number 19<" in text
    assert "number 20<" not in text
    assert "980 more like these" in text


async def test_queue_shows_its_held_keys(day: Hospital) -> None:
    """A held key is named with its failed job, the reason and how many jobs wait."""
    async with browsing(day.settings()) as browser:
        text = unescape(await browser.page("/queues/billing"))
    assert "stay-101" in text
    assert "no tariff for Z99.9" in text


async def test_failures_have_a_trend(day: Hospital) -> None:
    """A small picture of each cause says when its jobs failed, also in words."""
    async with browsing(day.settings()) as browser:
        text = await browser.page("/failures")
    labels = re.findall(r'<svg class="trend"[^>]* aria-label="(\d+) in the last .*?, at most (\d+) in as long', text)
    assert len(labels) == 2
    assert all(int(most) >= 1 for _, most in labels)


async def test_failures_are_grouped_by_cause(day: Hospital) -> None:
    """Jobs that failed with one error at one line are one row with their number."""
    async with browsing(day.settings()) as browser:
        text = await browser.page("/failures")
    assert text.count("MissingTariffError") == 1
    assert re.search(r"dashboards\.py:\d+ in price", text)
    assert "<strong>2</strong>" in text


async def test_sample_of_many_failures_is_called_one(day: Hospital) -> None:
    """If not all failed jobs were read, the page says how many were."""
    async with browsing(replace(day.settings(), sample=1)) as browser:
        text = await browser.page("/failures")
    assert "Of 2 failed jobs of billing, the newest 1 were read" in text


async def test_job_shows_its_attempts_and_its_masked_data(day: Hospital) -> None:
    """The page of a job has its traceback and its payload, without the value of a masked field."""
    (job_id, *_) = await day.archive.ids("failed")
    async with browsing(day.settings()) as browser:
        text = await browser.page(f"/jobs/archive/{job_id}")
    assert "the ledger did not answer" in text
    assert "K35.8" in text
    assert "sesame" not in text


async def test_sensitive_fields_are_masked_with_the_code(day: Hospital, tmp_path: Path) -> None:
    """With the system's code, what a class marks as sensitive is masked in jobs and entries; its neighbours are not."""
    (job_id, *_) = await day.archive.ids("failed")
    system = write_code(tmp_path, "codes: list[Annotated[str, SENSITIVE]]\n    comment: str")
    async with browsing(day.settings(system=system)) as browser:
        for path in (f"/jobs/archive/{job_id}", CODED):
            text = await browser.page(path)
            assert "K35.8" not in text
            assert "I21.0" not in text
            assert "comment" in text


async def test_channel_shows_lag_and_dead_letters(day: Hospital) -> None:
    """A channel shows how far behind its groups are, and what could not become a job."""
    async with browsing(day.settings()) as browser:
        text = await browser.page(CODED)
    assert re.search(r'data-live="group:[^"]+:unread"[^>]*>3<', text)
    assert "HostileJsonError" in text


async def test_story_leads_from_publish_to_handler(day: Hospital) -> None:
    """The transaction of a stay shows the event, its jobs, and the event that a handler published."""
    async with browsing(day.settings()) as browser:
        event_id = re.search(r'story\?id=([0-9a-f-]{36})"', await browser.page("/story?id=stay-1"))
        assert event_id
        text = await browser.page(f"/story?id={event_id[1]}")
    assert "billing: price-stay" in text
    assert "invoice-of-stay-1" in text
    assert "nothing failed or missing" in text


async def test_story_of_an_unread_event_has_a_hole(day: Hospital) -> None:
    """An event that no subscriber has read says which group has to."""
    async with browsing(day.settings()) as browser:
        assert "billing has not read it yet" in await browser.page("/story?id=stay-201")


async def test_story_says_what_a_job_waits_for(day: Hospital) -> None:
    """A job that waits behind another one leads to that."""
    (holding, *_) = [key.job_id for key in await held_keys(day) if key.key == "stay-101"]
    async with browsing(day.settings()) as browser:
        text = await browser.page("/story?id=stay-101")
    assert f'behind <a href="/jobs/billing/{holding}">the job before it</a>' in text


async def held_keys(hospital: Hospital) -> list[HeldKey]:
    """Return the keys that a failed job holds."""
    return [key async for key in BullMQOrder(hospital.redis, bull_prefix=hospital.bull).held("billing")]


async def test_story_says_which_jobs_were_not_searched(day: Hospital, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where queues have many jobs, a story shows those of its events, and leads to a search of all."""
    monkeypatch.setattr(event_search, "FEW_JOBS", 0)
    async with browsing(day.settings()) as browser:
        text = await browser.page("/story?id=stay-101")
        link = re.search(r'href="(/story\?id=stay-101&amp;jobs=all)">Search all jobs', text)
        assert link
        assert "Search all jobs" not in await browser.page(unescape(link[1]))
    assert "billing: price-stay" in text


async def test_story_of_nothing_says_so(day: Hospital) -> None:
    """An id that nothing belongs to is not an error."""
    async with browsing(day.settings()) as browser:
        assert "Nothing that is still stored" in await browser.page(f"/story?id={HOSTILE}")


async def test_map_without_code_shows_what_was_seen(day: Hospital) -> None:
    """Without the code, the newest events and jobs show what leads where."""
    async with browsing(day.settings()) as browser:
        text = await browser.page("/map")
    assert re.search(r'class="edge w1 [a-z]* ?seen"', text)
    assert "price-stay: 2 failed" in text


@pytest.mark.parametrize(
    "path",
    ["/nowhere", "/queues/none", "/failures/none/0", "/jobs/none/1", "/channels/none", "/dead-letters/none/1-1"],
)
async def test_unknown_page_says_what_is_missing(hospital: Hospital, path: str) -> None:
    """What does not exist is a page that leads back."""
    async with browsing(hospital.settings()) as browser:
        assert "Not found" in await browser.page(path, 404)


@pytest.mark.parametrize("number", ["0", "-1", "x", "99999999999999999999", "2", "²"])
async def test_any_page_number_is_a_page(day: Hospital, number: str) -> None:
    """What people write into an address is not an error."""
    async with browsing(day.settings()) as browser:
        assert "billing" in await browser.page(f"/queues/billing?page={number}")


async def test_server_that_does_not_answer_is_a_page(hospital: Hospital) -> None:
    """While the server is away, pages say so."""
    async with browsing(replace(hospital.settings(), redis_url="redis://127.0.0.1:1")) as browser:
        assert "The server could not be read" in unescape(await browser.page("/queues", 503))


async def test_mounted_dashboard_stays_below_its_path(day: Hospital) -> None:
    """In another app, every link leads to where the dashboard is mounted."""
    async with browsing(day.settings()) as inner:
        app = Starlette(routes=[Mount("/ops", inner.dashboard)])
        async with Browser.of(app, inner.dashboard) as browser:
            found = await crawl(browser, "/ops/")
            assert (await browser.get("/ops/static/dashboard.js")).status_code == 200
    assert len(found) > 20
    assert all(path.startswith("/ops/") for path in found)


TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


async def test_story_leads_to_the_trace(hospital: Hospital) -> None:
    """With the address of a tracing backend, the trace of an event is a link; without, its id is there to be copied."""
    await hospital.code_in_trace("stay-7", f"00-{TRACE}-00f067aa0ba902b7-01")
    async with browsing(hospital.settings(trace_url="https://tempo.example.com/trace/{trace_id}")) as browser:
        assert f'href="https://tempo.example.com/trace/{TRACE}"' in await browser.page("/story?id=stay-7")
    async with browsing(hospital.settings()) as browser:
        assert f'<span class="mono">{TRACE}</span>' in await browser.page("/story?id=stay-7")


async def test_malformed_trace_is_left_out(hospital: Hospital) -> None:
    """What another program wrote as a trace leads nowhere."""
    await hospital.code_in_trace("stay-7", f"00-{'<' * 32}-00f067aa0ba902b7-01")
    async with browsing(hospital.settings()) as browser:
        assert "trace <" not in await browser.page("/story?id=stay-7")


def test_address_of_traces_must_lead_to_one(hospital: Hospital) -> None:
    """An address without a place for the id, or of a script, is refused."""
    for address in ("https://tempo.example.com", "javascript:alert({trace_id})"):
        with pytest.raises(ConfigurationError, match="trace_url"):
            hospital.settings(trace_url=address)
