"""Metrics of programs that `domainstream run` does not run."""

import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client import CollectorRegistry, generate_latest
from support.consuming import OptimizationEvaluated, evaluated
from support.handling import received
from support.metrics import Scraped

from domainstream import RedisStreamPublisherClient
from domainstream.errors import MissingExtraError
from domainstream.integrations.prometheus import StatsCollector, metrics_app, record_handling
from domainstream.tools.metrics import handling
from domainstream.worker import EventConsumer, EventContext

PAGE: Final = Path(__file__).parents[3] / "docs" / "how-to" / "run-in-production.md"


@pytest.fixture
async def client(redis_url: str, stream_prefix: str) -> AsyncIterator[RedisStreamPublisherClient]:
    """A publisher of a web app."""
    async with RedisStreamPublisherClient.from_url(redis_url, prefix=stream_prefix) as client:
        yield client


async def ask(app: FastAPI, method: str = "GET") -> httpx.Response:
    """Ask a web app for its metrics, as Prometheus does, which follows redirects."""
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://coding", follow_redirects=True) as browser:
        return await browser.request(method, "/metrics")


async def test_web_app_serves_the_metrics_of_its_publisher(client: RedisStreamPublisherClient) -> None:
    """Mounted in FastAPI, the app says whether the publisher is ready and what waits in it."""
    app = FastAPI()
    app.mount("/metrics", metrics_app(client))
    answer = await ask(app)
    scraped = Scraped(answer.text)
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert scraped.value("domainstream_ready", program="RedisStreamPublisherClient") == 1
    assert scraped.value("domainstream_publisher_waiting_messages") == 0


async def test_publisher_that_is_closed_is_not_ready(client: RedisStreamPublisherClient) -> None:
    """The metrics go on when the publisher does not."""
    await client.close()
    app = FastAPI()
    app.mount("/metrics", metrics_app(client))
    assert Scraped((await ask(app)).text).value("domainstream_ready", program="RedisStreamPublisherClient") == 0


async def test_app_of_the_guide_serves_metrics(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The app of docs/how-to/run-in-production.md is complete."""
    monkeypatch.setenv("REDIS_URL", redis_url)
    (code,) = re.findall(r"```python\n(from fastapi.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102 - our own page
    async with names["publisher"]:
        scraped = Scraped((await ask(names["app"])).text)
    assert scraped.value("domainstream_ready", program="RedisStreamPublisherClient") == 1


async def test_other_methods_are_refused() -> None:
    """Metrics can only be read."""
    app = FastAPI()
    app.mount("/metrics", metrics_app())
    assert (await ask(app, "POST")).status_code == 405
    assert (await ask(app, "HEAD")).content == b""


async def test_collector_adds_stats_to_a_registry_of_ones_own(
    client: RedisStreamPublisherClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An app that serves `prometheus_client` already registers its programs there."""
    monkeypatch.setattr("domainstream.integrations.prometheus.RECORDER", handling.HandlingRecorder())
    registry = CollectorRegistry()
    registry.register(StatsCollector(client))
    consumer = EventConsumer("valuation")

    @consumer.on(OptimizationEvaluated)
    async def price_stay(event: OptimizationEvaluated, context: EventContext) -> None:
        """Do nothing."""

    record_handling(consumer)
    await consumer.handle(received(evaluated()))
    scraped = Scraped(generate_latest(registry).decode())
    assert scraped.value("domainstream_publisher_waiting_messages") == 0
    labels = {"queue": "valuation", "handler": "price_stay", "outcome": "done"}
    assert scraped.value("domainstream_handler_duration_seconds_count", **labels) == 1


def test_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without `prometheus_client` the app is not made, and the error says what to install."""
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'domainstream\[prometheus\]'"):
        metrics_app()
