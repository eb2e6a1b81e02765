"""The child processes of the demo with a database: `python -m domainstream.tools.demo.outbox_child NAME`.

The coding service stores its events in an outbox, and the relay publishes them.
"""

import asyncio
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path

from coding.application_layer.change_stays import cancel_stay, recode_stay
from coding.application_layer.hand_in_stays import hand_in_stays
from coding.bootstrap import Coding
from coding.bootstrap import wire as wire_coding
from coding.infrastructure_layer.events.coding_event_producer.coding_event_producer_mapper import channel_for
from coding.infrastructure_layer.events.coding_outbox import outbox
from coding.infrastructure_layer.persistence.database import open_database
from coding.infrastructure_layer.persistence.sql_medical_stays import SqlMedicalStays
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
from domainstream.tools.demo.recoding import is_recoded
from domainstream.tools.demo.reporting import Reporter
from domainstream.worker import Next, PreparedCall
from screenflow.domain_layer.run.run_events import RunFailed, RunStarted

_STAYS_AT_ONCE = 5
_UNTIL_CHANGE = 0.1
"""Seconds that a ward takes to change a stay. Meanwhile, what its screening has led to is on its way."""


async def coding(settings: ChildSettings, reporter: Reporter, go: asyncio.Event) -> None:
    """Hand in stays, and handle the events of screenflow and valuation."""
    reporting = ReportingOutbox(channel_for=channel_for, source="coding", table=outbox.table)
    reporting.reporter = reporter
    try:
        async with open_database(settings.database_url) as engine, asyncio.TaskGroup() as tasks:
            service = wire_coding(reporting, engine)
            service.consumer.add_middleware(ChangesStays(service))
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
    """Hand in all stays at a steady rate.

    Each group is due at a fixed time, however long the previous one took.
    """
    await go.wait()
    now = asyncio.get_running_loop().time
    stays = synthetic_stays(sys.maxsize if settings.events is None else settings.events, settings.seed)
    due = now()
    while group := list(islice(stays, _STAYS_AT_ONCE)):
        receipts = await hand_in_stays(group, outbox=service.outbox, sessions=service.sessions)
        reporter.pending.not_published += sum(receipt.outcome is Outcome.NOT_PUBLISHED for receipt in receipts)
        due += len(group) / settings.stays_per_second
        await asyncio.sleep(max(0.0, due - now()))
    reporter.pending.finished = True


class ChangesStays:
    """A middleware by which a ward codes some stays again once they are screened, and cancels them after that.

    What a ward changes is never ahead of what it had handed in before, for that has been screened.
    """

    def __init__(self, service: Coding) -> None:
        self._service = service
        self._screened: dict[str, list[str]] = {}

    async def __call__(self, call: PreparedCall, call_next: Next) -> None:
        """Handle the event, and change its stay if it is one of those."""
        await call_next(call)
        event = call.event
        if isinstance(event, RunStarted | RunFailed) and is_recoded(event.aggregate_id):
            await self._change(event.payload.stay_id, event.id)

    async def _change(self, stay_id: str, event_id: str) -> None:
        outbox, sessions = self._service.outbox, self._service.sessions
        screened = self._screened.setdefault(stay_id, [])
        if event_id in screened:
            return
        await asyncio.sleep(_UNTIL_CHANGE)
        if screened:
            await cancel_stay(stay_id, outbox=outbox, sessions=sessions)
        else:
            async with sessions() as session:
                stay = await SqlMedicalStays(session).get(stay_id)
            await recode_stay(
                stay_id,
                principal_diagnosis=stay.principal_diagnosis,
                coded_diagnoses=stay.documented_diagnoses,
                outbox=outbox,
                sessions=sessions,
            )
        screened.append(event_id)


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
