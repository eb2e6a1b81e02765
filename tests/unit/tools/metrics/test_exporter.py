"""The exporter: how often it collects, and what it says when it cannot."""

import asyncio
from datetime import timedelta

import pytest
from support.consuming import running, until
from support.metrics import Scraped

from domainstream.errors import ServerUnavailableError
from domainstream.tools.metrics import exporter as exporter_module
from domainstream.tools.metrics.exporter import Exporter
from domainstream.tools.metrics.source import PartlyCollectedError
from domainstream.tools.metrics.table import Metric, Sample

HOUR = timedelta(hours=1)


class Counting:
    """A source that counts how often it is asked, and fails on demand."""

    def __init__(self, name: str = "redis") -> None:
        self.name = name
        self.collections = self.searches = 0
        self.closed = 0
        self.problem = ""
        self.gate = asyncio.Event()
        self.gate.set()

    async def search(self) -> None:
        """Note it, or fail on demand."""
        self.searches += 1
        if self.problem:
            raise ServerUnavailableError(self.problem)

    async def collect(self) -> list[Sample]:
        """Return how often it was asked, as dead letters."""
        self.collections += 1
        await self.gate.wait()
        if self.problem:
            raise ServerUnavailableError(self.problem)
        return [Sample(Metric.DEAD_LETTERS, self.collections, ("domain_a",))]

    async def close(self) -> None:
        """Count it."""
        self.closed += 1


async def scraped(exporter: Exporter) -> Scraped:
    """Ask the exporter."""
    return Scraped((await exporter.metrics()).decode())


async def test_any_number_of_scrapers_cost_one_collection() -> None:
    """Those who ask within the period, or while a collection runs, get what it found."""
    source = Counting()
    exporter = Exporter([source], every=HOUR, search_every=HOUR)
    source.gate.clear()
    asking = [asyncio.create_task(exporter.metrics()) for _ in range(20)]
    await asyncio.sleep(0)
    source.gate.set()
    answers = await asyncio.gather(*asking)
    assert await exporter.metrics() == answers[0]
    assert len(set(answers)) == 1
    assert source.collections == 1


async def test_next_period_collects_again() -> None:
    """Without a period, each scrape sees the present."""
    source = Counting()
    exporter = Exporter([source], every=timedelta(0), search_every=HOUR)
    await exporter.metrics()
    assert (await scraped(exporter)).value("domainstream_dead_letters", channel="domain_a") == 2


async def test_source_that_fails_has_no_stale_values_and_hides_no_other() -> None:
    """A server that does not answer is reported as down, and what the other source says is there."""
    redis, outbox = Counting("redis"), Counting("outbox")
    redis.problem = "no connection"
    answer = await scraped(Exporter([redis, outbox], every=HOUR, search_every=HOUR))
    assert answer.value("domainstream_exporter_source_up", source="redis") == 0
    assert answer.value("domainstream_exporter_source_up", source="outbox") == 1
    assert answer.value("domainstream_dead_letters", channel="domain_a") == 1


async def test_nodes_that_answer_have_their_metrics() -> None:
    """A dead node of a cluster hides nothing of the others, and the source counts as failed."""

    class Partly(Counting):
        async def collect(self) -> list[Sample]:
            raise PartlyCollectedError(await super().collect(), "a node does not answer")

    answer = await scraped(Exporter([Partly()], every=HOUR, search_every=HOUR))
    assert answer.value("domainstream_exporter_source_up", source="redis") == 0
    assert answer.value("domainstream_dead_letters", channel="domain_a") == 1


async def test_failure_is_logged_once_and_its_end_too(caplog: pytest.LogCaptureFixture) -> None:
    """The log does not repeat at each scrape what is known."""
    caplog.set_level("INFO", "domainstream.exporter")
    source = Counting()
    exporter = Exporter([source], every=timedelta(0), search_every=HOUR)
    source.problem = "no connection"
    await exporter.metrics()
    await exporter.metrics()
    source.problem = ""
    await exporter.metrics()
    failed = "exporter.source_failed source=redis reason=no connection"
    assert caplog.messages == [failed, "exporter.source_recovered source=redis"]


async def test_collection_that_takes_too_long_counts_as_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that hangs does not make Prometheus wait until it gives up."""
    monkeypatch.setattr(exporter_module, "LIMIT", 0.01)
    source = Counting()
    source.gate.clear()
    answer = await scraped(Exporter([source], every=HOUR, search_every=HOUR))
    assert answer.value("domainstream_exporter_source_up", source="redis") == 0


async def test_exporter_closes_its_sources() -> None:
    """Their connections end with it."""
    source = Counting()
    async with Exporter([source], every=HOUR, search_every=HOUR):
        assert source.closed == 0
    assert source.closed == 1


async def test_exporter_searches_while_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is new is found in the background; a search that failed is repeated soon, and the others are not stopped."""
    monkeypatch.setattr(exporter_module, "SEARCH_AGAIN", 0.001)
    failing, well = Counting("redis"), Counting("outbox")
    failing.problem = "no connection"
    async with running(Exporter([failing, well], every=HOUR, search_every=HOUR)):
        await until(lambda: failing.searches > 2)
    assert well.searches == 1
