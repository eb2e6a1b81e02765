"""The child processes of the demo with a database: `python -m domainstream.tools.demo.outbox_child NAME`.

The coding service stores its events in an outbox, and the relay publishes them.
"""

import asyncio
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path

from coding.application_layer.hand_in_stays import hand_in_stays
from coding.bootstrap import Coding
from coding.bootstrap import wire as wire_coding
from coding.infrastructure_layer.events.coding_event_producer.coding_event_producer_mapper import channel_for
from coding.infrastructure_layer.events.coding_outbox import outbox
from coding.infrastructure_layer.persistence.database import open_database
from coding.synthetic_stays import synthetic_stays
from domainstream import Outcome, Receipt
from domainstream.errors import ConfigurationError, ServerError, ServerUnavailableError
from domainstream.outbox import BatchPublisher, Outbox, OutboxRelay, SqlOutboxStore
from domainstream.outbox.outbox import AnyConnection, AnySession
from domainstream.outbox.sql.engine import open_engine
from domainstream.producer import OutgoingMessage
from domainstream.producer.message_builder import ServiceEventT_contra
from domainstream.publisher import BatchIdentity, RedisBatchPublisher
from domainstream.tools.demo.child import Program, handle_events, run_child
from domainstream.tools.demo.protocol import ChildSettings, Published
from domainstream.tools.demo.recoding import is_coded_twice
from domainstream.tools.demo.reporting import Reporter

_STAYS_AT_ONCE = 5


async def coding(settings: ChildSettings, reporter: Reporter, go: asyncio.Event) -> None:
    """Hand in stays, and handle the events of screenflow and valuation."""
    reporting = ReportingOutbox(channel_for=channel_for, source="coding", table=outbox.table)
    reporting.reporter = reporter
    try:
        async with open_database(settings.database_url) as engine, asyncio.TaskGroup() as tasks:
            service = wire_coding(reporting, engine)
            tasks.create_task(handle_events(service.consumer, settings, reporter))
            tasks.create_task(_hand_in(service, settings, reporter, go))
    finally:
        _remove_database(settings)


async def relay(settings: ChildSettings, reporter: Reporter, _go: asyncio.Event) -> None:
    """Publish the events that coding has stored."""
    engine = open_engine(settings.database_url)
    publisher = RedisBatchPublisher.from_url(settings.url, prefix=settings.stream_prefix, confirm=settings.confirm)
    try:
        async with open_database(settings.database_url):
            pass  # makes the tables, if this process is the first
        reporter.pending.ready = True
        await OutboxRelay(SqlOutboxStore(engine, outbox.table), ReportingBatchPublisher(publisher, reporter)).run()
    finally:
        await publisher.close()
        await engine.dispose()
        _remove_database(settings)


def _remove_database(settings: ChildSettings) -> None:
    """Remove the folder of the database, as the parent does unless it was killed; the last of both leaves nothing."""
    shutil.rmtree(Path(settings.database_file).parent, ignore_errors=True)


async def _hand_in(service: Coding, settings: ChildSettings, reporter: Reporter, go: asyncio.Event) -> None:
    """Hand in all stays at a steady rate, some of them twice.

    Each group is due at a fixed time, however long the previous one took.
    """
    await go.wait()
    now = asyncio.get_running_loop().time
    stays = synthetic_stays(settings.events, settings.seed)
    due = now()
    while group := list(islice(stays, _STAYS_AT_ONCE)):
        coded_again = [stay for stay in group if is_coded_twice(stay.stay_id)]
        for stays_at_once in filter(None, (group, coded_again)):
            receipts = await hand_in_stays(stays_at_once, outbox=service.outbox, sessions=service.sessions)
            reporter.pending.not_published += sum(receipt.outcome is Outcome.NOT_PUBLISHED for receipt in receipts)
        due += len(group) / settings.stays_per_second
        await asyncio.sleep(max(0.0, due - now()))
    reporter.pending.finished = True


class ReportingBatchPublisher:
    """The `BatchPublisher` of a relay, which reports each message."""

    def __init__(self, publisher: BatchPublisher, reporter: Reporter) -> None:
        self._publisher = publisher
        self._reporter = reporter

    async def introduce(self, producer: str) -> None:
        """Introduce the producer to the server."""
        await self._publisher.introduce(producer)

    async def remembers(self, producer: str) -> bool:
        """Return whether the server remembers the producer."""
        return await self._publisher.remembers(producer)

    async def send(
        self, messages: Sequence[OutgoingMessage], identity: BatchIdentity
    ) -> Mapping[str, ServerError | ConfigurationError]:
        """Publish `messages` and report each."""
        rejected = await self._publisher.send(messages, identity)
        pending = self._reporter.pending
        for message in messages:
            if message.target not in rejected:
                pending.published.append(Published(message.channel, message.event_id))
        pending.failures += [
            f"{channel} is held: {error}"
            for channel, error in rejected.items()
            if not isinstance(error, ServerUnavailableError)  # sent again once its primary has a successor
        ]
        return rejected


class ReportingOutbox(Outbox[ServiceEventT_contra]):
    """An outbox that reports each stored event."""

    reporter: Reporter
    """Reports them."""

    def add_many(self, session: AnySession | AnyConnection, events: Iterable[ServiceEventT_contra]) -> list[Receipt]:
        """Store events and report each."""
        receipts = super().add_many(session, events)
        self.reporter.pending.stored += [
            Published(str(receipt.channel), receipt.event_id)
            for receipt in receipts
            if receipt.outcome is Outcome.STORED
        ]
        return receipts


PROGRAMS: dict[str, Program] = {each.__name__: each for each in (coding, relay)}

if __name__ == "__main__":
    run_child(PROGRAMS[sys.argv[1]])
