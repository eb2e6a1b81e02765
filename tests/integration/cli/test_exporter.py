"""`domainstream exporter`: a process that serves what no other owns."""

import asyncio
import os
import signal
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from integration.cli.conftest import COMMAND, Running, Start
from integration.cli.test_run import get
from sqlalchemy import create_engine
from support.coding import channel_for, created
from support.consuming import EVALUATED, GROUP, Streams, evaluated, until
from support.metrics import scrape
from support.working import Valuation, job_of

from domainstream.cli.main import cli
from domainstream.outbox import Outbox


@pytest.fixture
async def start_exporter(redis_url: str, stream_prefix: str) -> AsyncIterator[Start]:
    """A function that starts the exporter with these words; processes that still run at the end are killed."""
    processes: list[Process] = []

    async def run(*words: str, **environment: str) -> Running:
        given = {"REDIS_URL": redis_url, "DOMAINSTREAM_PREFIX": stream_prefix, "DATABASE_URL": "", **environment}
        command = [*COMMAND, "exporter", "--port", "0", "--bull-prefix", f"{stream_prefix}bull", *words]
        process = await asyncio.create_subprocess_exec(*command, env={**os.environ, **given}, stdout=PIPE, stderr=PIPE)
        processes.append(process)
        return Running(process)

    yield run
    for process in processes:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def url_of(running: Running) -> str:
    """Return where the exporter listens."""
    return (await running.says("run.health")).rpartition("url=")[2].partition(" ")[0]


async def test_exporter_serves_until_sigterm(start_exporter: Start, streams: Streams, valuation: Valuation) -> None:
    """It serves channels and queues on a port of its own, and ends with 0."""
    await streams.add(evaluated())
    await streams.redis.xgroup_create(streams.key(EVALUATED), GROUP, "0")
    await valuation.add(job_of())
    running = await start_exporter()
    url = await url_of(running)
    scraped = await scrape(url)
    assert (scraped.value("domainstream_oldest_event_age_seconds", channel=str(EVALUATED), group=GROUP) or 0) > 0
    assert (scraped.value("domainstream_oldest_job_age_seconds", queue="valuation") or 0) > 0
    assert scraped.value("domainstream_exporter_source_up", source="redis") == 1
    assert (await get(url))[0] == 200
    running.process.send_signal(signal.SIGTERM)
    assert await running.ends() == 0


async def test_server_that_is_away_is_in_the_metrics(start_exporter: Start) -> None:
    """The exporter starts without its server, says so once, and hides the password."""
    running = await start_exporter(REDIS_URL="redis://:a-secret@127.0.0.1:1")
    url = await url_of(running)
    scraped = await scrape(url)
    assert scraped.value("domainstream_exporter_source_up", source="redis") == 0
    assert "source=redis" in await running.says("exporter.source_failed")
    assert (await get(url))[0] == 200
    running.process.send_signal(signal.SIGTERM)
    assert await running.ends() == 0
    assert "a-secret" not in "\n".join([*running.log, scraped.text])


async def test_outbox_is_looked_at(start_exporter: Start, tmp_path: Path) -> None:
    """Without a relay, the backlog and the age of its oldest event are there, and that no relay is active."""
    outbox: Outbox[Any] = Outbox(channel_for=channel_for, source="coding")
    engine = create_engine(f"sqlite:///{tmp_path}/store.db")
    with engine.begin() as connection:
        outbox.create_table(connection)
        outbox.add(connection, created())
    engine.dispose()
    running = await start_exporter(
        "--every", "1ms", REDIS_URL="", DATABASE_URL=f"sqlite+aiosqlite:///{tmp_path}/store.db"
    )
    url = await url_of(running)
    labels = {"table": "domainstream_outbox"}

    async def has_waited() -> bool:
        return ((await scrape(url)).value("domainstream_outbox_oldest_event_age_seconds", **labels) or 0) > 0

    await until(has_waited)
    scraped = await scrape(url)
    assert scraped.value("domainstream_outbox_backlog_rows", **labels) == 1
    assert scraped.value("domainstream_outbox_relay_active", **labels) == 0
    assert scraped.value("domainstream_outbox_published_total", **labels) == 0
    assert scraped.value("domainstream_exporter_source_up", source="redis") is None


async def test_taken_port_is_reported(start_exporter: Start) -> None:
    """A taken port ends with 1 and names the option to change."""
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    async with server:
        running = await start_exporter("--port", str(server.sockets[0].getsockname()[1]))
        assert await running.ends() == 1
    assert "choose another: --port" in running.log[-1]


def test_nothing_to_look_at_is_an_error() -> None:
    """Without a server and without a database there is nothing to serve."""
    result = CliRunner().invoke(cli, ["exporter"], env={"REDIS_URL": "", "DATABASE_URL": ""})
    assert result.exit_code == 3
    assert "no server is configured" in result.output
