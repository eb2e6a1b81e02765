"""The page of lag and latency, against real servers."""

import re

from support.dashboards import Hospital, browsing

from domainstream.tools.dashboard.facts import Facts
from domainstream.tools.latency import read_latency


async def test_each_handler_has_a_row(day: Hospital) -> None:
    """Every job name of every queue is listed, with how many jobs were read."""
    async with browsing(day.settings()) as browser:
        text = await browser.page("/latency")
    for queue, job in (("billing", "price-stay"), ("archive", "store-stay"), ("archive", "store-invoice")):
        assert re.search(rf'href="/queues/{queue}">{queue}</a><span class="sub">{job}</span>', text)


async def test_handler_times_come_from_its_jobs(day: Hospital) -> None:
    """Completed and failed jobs are read, and all four times are known of events."""
    facts = Facts(day.settings())
    (price,) = await read_latency(facts.jobs, ["billing"], most=100)
    await facts.close()
    assert (price.completed, price.failed) == (len(await day.billing.ids("completed")), 2)
    assert None not in (price.total.p95, price.to_queue.p95, price.to_start.p95, price.handling.p95)


async def test_no_more_jobs_are_read_than_asked_for(day: Hospital) -> None:
    """However many jobs are kept, only the newest of each state are read."""
    facts = Facts(day.settings())
    found = await read_latency(facts.jobs, ["archive"], most=3)
    await facts.close()
    assert sum(one.completed for one in found) == 3


async def test_lag_of_each_group_is_live(day: Hospital) -> None:
    """Each group that reads a channel is listed with numbers that an open page keeps up to date."""
    async with browsing(day.settings()) as browser:
        text = await browser.page("/latency")
    assert 'data-live="group:domain_coding_stay_coded:billing:oldest"' in text


async def test_page_without_jobs_says_where_times_come_from(hospital: Hospital) -> None:
    """Before the first job has ended, the page says what makes one appear."""
    async with browsing(hospital.settings()) as browser:
        text = await browser.page("/latency")
    assert "No job that has ended is kept" in text
    assert "Nobody reads a channel yet" in text
