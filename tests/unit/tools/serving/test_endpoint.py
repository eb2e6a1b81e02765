"""The endpoint of a program: what it answers to whom."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator

import pytest
from support.metrics import scrape

from domainstream.tools.serving.health import HealthResponse, health_endpoint, metrics_reader
from domainstream.worker import EventConsumer, EventWorker


async def failing() -> HealthResponse:
    """Answer as the probe of a program that is not ready."""
    return HealthResponse(status="failing", reason="no connection")


@pytest.fixture
async def url() -> AsyncIterator[str]:
    """Where a worker that is not ready is served."""
    worker = EventWorker.from_url("redis://127.0.0.1:1", EventConsumer("valuation"))
    async with health_endpoint("127.0.0.1", 0, failing, metrics_reader(worker, failing)) as port:
        yield f"http://127.0.0.1:{port}/ready"


async def answer(url: str, request: str) -> tuple[int, dict[str, str]]:
    """Send the first line of a request; return status and answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2].partition("/")[0]))
    writer.write(f"{request} HTTP/1.1\r\n\r\n".encode())
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    return int(head.split()[1]), json.loads(body)


async def test_program_that_is_not_ready_has_metrics(url: str) -> None:
    """Prometheus gets 200 and the value 0, where a supervisor gets 503."""
    assert (await answer(url, "GET /ready"))[0] == 503
    assert (await scrape(url)).value("domainstream_ready", program="EventWorker") == 0


async def test_missing_extra_is_named(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without `prometheus_client`, a program runs as before, and `/metrics` says what to install."""
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    status, said = await answer(url, "GET /metrics")
    assert status == 404
    assert said["reason"] == "Serving metrics needs an extra. Run: pip install 'domainstream[prometheus]'"
    assert (await answer(url, "GET /live"))[0] == 200


@pytest.mark.parametrize(
    ("request_line", "status"), [("GET /nothing", 404), ("POST /metrics", 405), ("PUT /ready", 405)]
)
async def test_other_paths_and_methods_are_refused(url: str, request_line: str, status: int) -> None:
    """The answer says what there is."""
    assert (await answer(url, request_line))[0] == status
