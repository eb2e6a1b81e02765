"""The dashboard's page of outboxes, on every database."""

import asyncio
import logging
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from html import unescape

import httpx
import msgspec
import pytest
from integration.outbox.conftest import Store
from integration.outbox.test_commands import relaying
from integration.tools.dashboard.test_live import served
from redis.asyncio import Redis
from sqlalchemy import MetaData
from sqlalchemy.orm import Session
from support import channels
from support.coding import created
from support.consuming import until
from support.dashboards import Browser, Hospital, browsing, crawl

from domainstream.outbox import HeldChannel, relay_table
from domainstream.publisher import BatchIdentity
from domainstream.tools.dashboard import DashboardSettings, outboxes
from domainstream.tools.dashboard.outbox_pages import RETRY
from domainstream.tools.dashboard.sql_outbox import SqlOutbox

CREATED = str(channels.CREATED.value)
VIEWER = "viewer-token-0123456789"


@pytest.fixture
def settings(redis: Redis, redis_url: str, stream_prefix: str, store: Store) -> DashboardSettings:
    """The settings of a dashboard that shows the store."""
    place = SqlOutbox.from_url(store.async_url, table=store.outbox.table.name)
    return Hospital(redis, redis_url, stream_prefix).settings(outboxes=(place,))


@pytest.fixture
async def browser(settings: DashboardSettings) -> AsyncIterator[Browser]:
    """A browser for a dashboard that shows the store."""
    async with browsing(settings) as opened:
        yield opened


def hold(store: Store) -> None:
    """Let two events wait in a channel that the server has rejected; no relay runs."""
    with Session(store.engine) as session, session.begin():
        store.outbox.add_many(session, [created("stay-1"), created("stay-2")])
    held = HeldChannel("WRONGTYPE wrong kind of value", 0, 7, 2**52, BatchIdentity("aa", 1), [1])
    values = {"name": store.outbox.table.name, "held": msgspec.json.encode({CREATED: held}).decode()}
    with store.engine.begin() as connection:
        connection.execute(relay_table(store.outbox.table.to_metadata(MetaData())).insert().values(values))


async def page_at(address: str) -> str:
    """Return the page of a dashboard that a process of its own serves."""
    async with httpx.AsyncClient(base_url=address, headers={"accept": "text/html"}) as browser:
        return (await browser.get("/outbox")).text


async def retry_path(browser: Browser) -> str:
    """Return where the button leads that tries the held channel."""
    found = re.search(rf'href="(/do/{RETRY}\?[^"]*)"', await browser.page("/outbox"))
    assert found
    return unescape(found[1])


async def test_page_shows_what_waits_and_that_no_relay_runs(browser: Browser, store: Store) -> None:
    """The rows, the held channel with its reason, and the missing relay are there, and every link leads somewhere."""
    hold(store)
    text = unescape(await browser.page("/outbox"))
    assert re.search(r'Waiting</span><span class="value">2<', text)
    assert "WRONGTYPE wrong kind of value" in text
    assert "No relay is active" in text
    assert len(await crawl(browser, "/outbox")) > 5


async def test_active_relay_is_named(settings: DashboardSettings, store: Store, redis_url: str) -> None:
    """Who leads is there with its lease, and as a relay among the instances' connections."""
    async with relaying(store, redis_url, settings.prefix), browsing(settings) as browser:

        async def leads() -> bool:
            (shown,) = await browser.dashboard.facts.outboxes.all()
            browser.dashboard.facts.outboxes.forget()
            return bool(shown.status and shown.status.relay.is_active)

        await until(leads)
        (shown,) = await browser.dashboard.facts.outboxes.all()
        text = unescape(await browser.page("/outbox"))
        connections = await browser.page("/instances")
    assert shown.status
    assert f"Published by {shown.status.relay.owner}" in text
    assert "relay active" in text
    assert '<td class="name">relay</td>' in connections


async def test_held_channel_is_retried_and_logged(
    browser: Browser, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    """An operator who agrees lets the next turn of a relay try the channel; the log says who did it."""
    hold(store)
    with caplog.at_level(logging.INFO, "domainstream"):
        response = await browser.agree(await retry_path(browser))
    assert "1 of 1 retried." in response.text
    assert re.search(r"Next attempt\">\s*now", response.text)
    assert f"action={RETRY}" in caplog.text


async def test_viewer_may_not_retry(settings: DashboardSettings, store: Store) -> None:
    """Who may only look sees no button, and is refused."""
    hold(store)
    async with browsing(settings, viewer_token=VIEWER) as browser:
        browser.headers["authorization"] = f"Bearer {VIEWER}"
        assert RETRY not in await browser.page("/outbox")
        assert (await browser.get(f"/do/{RETRY}?outbox=x")).status_code == 403


async def test_nothing_held_is_nothing_to_do(browser: Browser) -> None:
    """The action of an outbox without held channels, or of an unknown one, is a page that says so."""
    (shown,) = await browser.dashboard.facts.outboxes.all()
    for name in (shown.name, "none"):
        assert "nothing left to do" in (await browser.get(f"/do/{RETRY}", params={"outbox": name})).text


async def test_missing_table_does_not_hide_the_other_outbox(settings: DashboardSettings, store: Store) -> None:
    """Of two outboxes, one that cannot be read says why, and the other one is shown."""
    other = SqlOutbox.from_url(store.async_url, table="none_such")
    async with browsing(replace(settings, outboxes=(*settings.outboxes, other))) as browser:
        text = await browser.page("/outbox")
    assert "It could not be read" in text
    assert store.outbox.table.name in text
    assert "nothing waits" in text


async def test_database_that_never_answers_is_a_sentence(
    redis: Redis, redis_url: str, stream_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that takes connections and says nothing keeps no page from being shown."""
    monkeypatch.setattr(outboxes, "PATIENCE", 0.05)

    closed = asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        closed.set()

    async with await asyncio.start_server(say_nothing, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        place = SqlOutbox.from_url(f"postgresql://user:secret@127.0.0.1:{port}/db")
        async with browsing(Hospital(redis, redis_url, stream_prefix).settings(outboxes=(place,))) as browser:
            text = await browser.page("/outbox")
            assert "<h1>" in await browser.page("/queues")
        await closed.wait()
    assert "did not answer" in text
    assert "secret" not in text


async def test_database_that_is_not_an_outbox_is_a_sentence(redis: Redis, redis_url: str, stream_prefix: str) -> None:
    """A DATABASE_URL that is not supported does not keep the dashboard from starting, and shows no password."""
    hospital = Hospital(redis, redis_url, stream_prefix)
    async with served(hospital, DATABASE_URL="mysql://user:secret@localhost/db") as (_, address):
        text = await page_at(address)
    assert "It could not be read" in text
    assert "secret" not in text


async def test_command_shows_each_database_that_it_is_given(
    redis: Redis, redis_url: str, stream_prefix: str, store: Store
) -> None:
    """The option may be repeated, and one database that is missing leaves the other one as it is."""
    words = ("--table", store.outbox.table.name, "--database-url", store.async_url)
    hospital = Hospital(redis, redis_url, stream_prefix)
    async with served(hospital, *words, "--database-url", "sqlite:////none/such.db") as (_, address):
        text = await page_at(address)
    assert "there is no database /none/such.db" in text
    assert "nothing waits" in text


async def test_without_a_database_the_page_names_the_option(redis: Redis, redis_url: str, stream_prefix: str) -> None:
    """Who has named no outbox learns how to."""
    async with browsing(Hospital(redis, redis_url, stream_prefix).settings()) as browser:
        assert "--database-url" in await browser.page("/outbox")
