"""A small hospital's events, in every state that a dashboard shows, and a browser without a window."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from html import unescape
from pathlib import Path
from typing import Any, Final, Self, final

import httpx
from redis.asyncio import Redis
from support.checking import EVENTS, small_system, write_system
from support.consuming import BullJobs, Streams, running, until

from domainstream.channel import EventPublisherChannel
from domainstream.event import BaseEvent, EventEncoder, EventPayload
from domainstream.queue import JobSettings
from domainstream.subscriber import RedisBullMQStreamSubscriber, Subscriptions, create_multiple_handlers, to_queue
from domainstream.subscriber.subscriptions import AGGREGATE
from domainstream.tools.dashboard import AccessSettings, Dashboard, DashboardSettings
from domainstream.worker import EventConsumer, EventContext, EventWorker

ONCE: Final = JobSettings(attempts=1)
TWICE: Final = JobSettings(attempts=2, backoff=timedelta(milliseconds=5), jitter=0)
HOSTILE: Final = "<script>alert(1)</script>"


class Channel(EventPublisherChannel):
    """The hospital's channels."""

    DOMAIN_CODING_STAY_CODED = "domain_coding_stay_coded"
    DOMAIN_BILLING_INVOICE_SENT = "domain_billing_invoice_sent"
    DOMAIN_BILLING_INVOICE_PAID = "domain_billing_invoice_paid"


class StayCodedPayload(EventPayload):
    """What was coded."""

    codes: list[str]
    comment: str = ""
    api_token: str = "sesame"


class InvoicePayload(EventPayload):
    """What is owed."""

    amount: int


@final
class StayCoded(BaseEvent[StayCodedPayload]):
    """A stay was coded."""

    event_type = "domain_coding_stay_coded"


@final
class InvoiceSent(BaseEvent[InvoicePayload]):
    """An invoice was sent."""

    event_type = "domain_billing_invoice_sent"


@final
class InvoicePaid(BaseEvent[InvoicePayload]):
    """An invoice was paid; nobody reads that."""

    event_type = "domain_billing_invoice_paid"


def write_code(root: Path, payload: str = "codes: list[str]", version: int = 1) -> Path:
    """Write the code of a system that has the stays' event, with these fields, and return its folder."""
    files = {
        name: text.replace("stay_created", "stay_coded").replace("STAY_CREATED", "STAY_CODED")
        for name, text in small_system().items()
    }
    imports = "from typing import Annotated, final\nfrom domainstream import SENSITIVE\n"
    files[EVENTS] = files[EVENTS].replace("from typing import final\n", imports).replace("stay_id: str", payload)
    if version > 1:
        files[EVENTS] += f"    version = {version}\n"
    return write_system(root, files)


class MissingTariffError(Exception):
    """A code has no tariff."""


class LedgerUnavailableError(Exception):
    """The ledger does not answer."""


def subscriptions() -> Subscriptions:
    """Return who gets the events: billing in the order of each stay, and the archive."""
    return create_multiple_handlers(
        {
            Channel.DOMAIN_CODING_STAY_CODED: [
                to_queue("billing", job="price-stay", settings=ONCE, order_by=AGGREGATE),
                to_queue("archive", job="store-stay", settings=TWICE),
            ],
            Channel.DOMAIN_BILLING_INVOICE_SENT: [to_queue("archive", job="store-invoice", settings=TWICE)],
            Channel.DOMAIN_BILLING_INVOICE_PAID: [],
        }
    )


def price(event: StayCoded) -> None:
    """Price a stay, if its codes have tariffs."""
    if "Z99.9" in event.payload.codes:
        raise MissingTariffError(f"no tariff for Z99.9 {event.payload.comment}")


def store(event: StayCoded) -> None:
    """Write a stay into the ledger, if that answers."""
    if "K35.8" in event.payload.codes:
        raise LedgerUnavailableError("the ledger did not answer within 5 s")


class Hospital:
    """The hospital on the server of a test."""

    def __init__(self, redis: Redis, url: str, prefix: str) -> None:
        self.redis = redis
        self.url = url
        self.prefix = prefix
        self.bull = f"{prefix}bull"
        self.streams = Streams(redis, prefix)
        self.dead = f"{self.streams.key(Channel.DOMAIN_CODING_STAY_CODED)}:dead"
        self.billing, self.archive = (BullJobs(redis, self.bull, queue) for queue in ("billing", "archive"))

    def settings(self, url: str = "", **settings: Any) -> DashboardSettings:
        """Return the settings of a dashboard that shows the hospital."""
        return DashboardSettings(redis_url=url or self.url, prefix=self.prefix, bull_prefix=self.bull, **settings)

    async def code_in_trace(self, stay: str, traceparent: str) -> None:
        """Publish that a stay was coded, in a span."""
        event = StayCoded(aggregate_id=stay, payload=StayCodedPayload(codes=["I21.0"]))
        data = EventEncoder("coding").encode(event, {"traceparent": traceparent})
        await self.streams.add_data(Channel.DOMAIN_CODING_STAY_CODED, data=data)

    async def code(self, stay: str, *codes: str, comment: str = "") -> None:
        """Publish that a stay was coded."""
        payload = StayCodedPayload(codes=list(codes), comment=comment)
        await self.streams.add(StayCoded(aggregate_id=stay, payload=payload))

    async def work(self, *, failed: int, stored: int) -> None:
        """Let subscriber and workers run until so many jobs have failed, and so many were stored."""
        subscriber = RedisBullMQStreamSubscriber.from_url(
            self.url, group="billing", subscriptions=subscriptions(), prefix=self.prefix, bull_prefix=self.bull
        )
        workers = [
            EventWorker.from_url(self.url, consumer, bull_prefix=self.bull) for consumer in (self._biller(), _archive())
        ]

        async def is_done() -> bool:
            ends = [await self.billing.ids("failed"), await self.archive.ids("failed")]
            return sum(map(len, ends)) >= failed and len(await self.archive.ids("completed")) >= stored

        async with running(subscriber), running(workers[0]), running(workers[1]):
            await until(is_done)

    async def open(self) -> None:
        """Publish and handle a day's events, of which some fail, and leave others unread."""
        for number in range(1, 9):
            await self.code(f"stay-{number}", "I21.0")
        for stay in ("stay-101", "stay-102"):
            await self.code(stay, "Z99.9", comment=HOSTILE)
            await self.code(stay, "I21.0")
        await self.code("stay-103", "K35.8")
        await self.work(failed=3, stored=20)
        for number in range(201, 204):
            await self.code(f"stay-{number}", "I21.0")
        await self.streams.add(InvoicePaid(aggregate_id="invoice-1", payload=InvoicePayload(amount=9)))
        await self.bury(b"{broken")
        await self.bury(b'{"not": "an event"}')

    async def open_on_cluster(self) -> None:
        """Do the same on a cluster, where names are in braces so that what belongs together lies in one slot."""
        self.dead = f"{{{self.streams.key(Channel.DOMAIN_CODING_STAY_CODED)}}}:dead"
        self.billing, self.archive = (BullJobs(self.redis, self.bull, f"{{{name}}}") for name in ("billing", "archive"))
        await self.open()

    async def bury(self, data: bytes) -> None:
        """Store a dead letter as a subscriber does."""
        fields: dict[Any, Any] = {"error": "HostileJsonError", "reason": f"it is not JSON: {HOSTILE}"}
        fields |= {"channel": str(Channel.DOMAIN_CODING_STAY_CODED), "group": "billing"}
        fields |= {"entry_id": "1700000000000-0", "data": data}
        await self.redis.xadd(self.dead, fields)

    def _biller(self) -> EventConsumer:
        consumer = EventConsumer("billing")

        @consumer.on(StayCoded)
        async def price_stay(event: StayCoded, _context: EventContext) -> None:
            price(event)
            payload = InvoicePayload(amount=len(event.payload.codes))
            await self.streams.add(InvoiceSent(aggregate_id=f"invoice-of-{event.aggregate_id}", payload=payload))

        return consumer


def _archive() -> EventConsumer:
    consumer = EventConsumer("archive")

    @consumer.on(StayCoded)
    async def store_stay(event: StayCoded, _context: EventContext) -> None:
        store(event)

    @consumer.on(InvoiceSent)
    async def store_invoice(_event: InvoiceSent, _context: EventContext) -> None:
        """Keep it."""

    return consumer


class Browser(httpx.AsyncClient):
    """Asks a dashboard for pages as a browser does."""

    dashboard: Dashboard
    """The dashboard."""

    @classmethod
    def of(cls, app: Any, dashboard: Dashboard) -> Self:
        """Return a browser for an app that is or has a dashboard."""
        transport = httpx.ASGITransport(app=app)
        browser = cls(
            transport=transport, base_url="http://localhost", headers={"accept": "text/html"}, follow_redirects=True
        )
        browser.dashboard = dashboard
        return browser

    async def page(self, path: str, status: int = 200) -> str:
        """Return the text of a page."""
        response = await self.get(path)
        assert response.status_code == status, response.text
        return response.text

    async def agree(self, path: str, **changed: str) -> httpx.Response:
        """Confirm an action, with some fields of the form changed."""
        text = await self.page(path)
        form = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', text))
        return await self.post(path.partition("?")[0], data={**form, **changed})


async def crawl(browser: Browser, start: str = "/") -> dict[str, str]:
    """Return every page that leads from `start` to another one, by its path."""
    found, open_paths = dict[str, str](), [start]
    while open_paths:
        path = open_paths.pop()
        if path not in found:
            found[path] = await browser.page(path)
            links = re.findall(r'<a [^>]*href="(/[^"]*)"', found[path])
            open_paths += [unescape(link).partition("#")[0] for link in links]
    return found


@asynccontextmanager
async def browsing(settings: DashboardSettings, **access: Any) -> AsyncIterator[Browser]:
    """Open a dashboard, and a browser for it."""
    chosen = replace(settings, access=AccessSettings(**access)) if access else settings
    dashboard = Dashboard(chosen)
    try:
        async with Browser.of(dashboard, dashboard) as browser:
            yield browser
    finally:
        await dashboard.close()
