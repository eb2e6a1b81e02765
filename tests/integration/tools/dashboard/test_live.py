"""What changes while a page is open, and `domainstream ui` itself."""

import asyncio
import json
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from support.consuming import PATIENCE
from support.dashboards import Hospital

VIEWER = "viewer-token-0123456789"


@asynccontextmanager
async def served(hospital: Hospital, *words: str, **environment: str) -> AsyncIterator[tuple[Process, str]]:
    """Run `domainstream ui` for the time of the block; yields the process and its address."""
    options = ("--port", "0", "--redis-url", hospital.url, "--prefix", hospital.prefix, "--bull-prefix", hospital.bull)
    command = [sys.executable, "-m", "domainstream", "ui", *options, *words]
    process = await asyncio.create_subprocess_exec(
        *command, env={**os.environ, **environment}, stdout=PIPE, stderr=PIPE
    )
    try:
        assert process.stderr
        async with asyncio.timeout(PATIENCE):
            line = (await process.stderr.readline()).decode()
        address = re.search(r"http://\S+(?=/$)", line.strip())
        yield process, address[0] if address else line
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@asynccontextmanager
async def following(address: str) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
    """Follow what changes, as an open page does."""
    async with (
        asyncio.timeout(PATIENCE),
        httpx.AsyncClient(base_url=address, timeout=PATIENCE) as client,
        client.stream("GET", "/live") as response,
    ):
        lines = response.aiter_lines()
        yield (json.loads(line.removeprefix("data: ")) async for line in lines if line.startswith("data: "))


async def until_text(changes: AsyncIterator[dict[str, Any]], name: str, text: str) -> None:
    """Wait until a number has this text."""
    async for values in changes:
        if values.get(name) == text:
            return
    raise AssertionError(f"{name} did not become {text}")


async def test_open_page_follows_the_server(day: Hospital) -> None:
    """A job that is removed elsewhere disappears from the count of an open page."""
    async with served(day) as (_, address), following(address) as changes:
        await until_text(changes, "queue:billing:failed", "2")
        await day.redis.zremrangebyrank(f"{day.billing.key}:failed", 0, 0)
        await until_text(changes, "queue:billing:failed", "1")


async def test_command_serves_until_it_is_stopped(hospital: Hospital) -> None:
    """`domainstream ui` says where it listens, answers there, and ends at a signal."""
    async with served(hospital) as (process, address):
        async with httpx.AsyncClient(base_url=address) as client:
            assert "There is no queue yet" in (await client.get("/queues")).text
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE):
            await process.wait()


async def test_open_pages_do_not_keep_it_from_ending(day: Hospital) -> None:
    """A signal ends it although somebody looks."""
    async with served(day) as (process, address), following(address) as changes:
        await anext(changes)
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE):
            await process.wait()


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])  # noqa: S104 - refused
async def test_command_refuses_a_public_address(hospital: Hospital, host: str) -> None:
    """Without a token, an address that others reach is refused with what to do."""
    async with served(hospital, "--host", host) as (process, line):
        assert "The dashboard's address" in line
        async with asyncio.timeout(PATIENCE):
            assert await process.wait() == 2


async def test_taken_port_is_refused(hospital: Hospital) -> None:
    """A port at which another program listens is refused with what to do."""
    async with (
        served(hospital) as (_, address),
        served(hospital, "--port", address.rpartition(":")[2]) as (second, line),
    ):
        assert "cannot be used" in line
        assert second.stderr
        assert b"choose another one: --port" in await second.stderr.read()
        assert await second.wait() == 2


async def test_token_is_taken_from_the_environment(hospital: Hospital) -> None:
    """With a viewer's token in the environment, the dashboard wants it."""
    async with (
        served(hospital, DOMAINSTREAM_UI_VIEWER_TOKEN=VIEWER) as (_, address),
        httpx.AsyncClient(base_url=address) as client,
    ):
        assert (await client.get("/queues")).status_code == 401
        response = await client.get("/queues", headers={"authorization": f"Bearer {VIEWER}"})
    assert response.status_code == 200
