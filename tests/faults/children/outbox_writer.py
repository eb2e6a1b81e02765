"""Writers of a service with an outbox: transactions of every kind, in threads of one process."""

import random
import signal
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from faults.ledger import COMMITTED, STOPPED, UNCERTAIN, Ledger
from faults.outbox.business import AGGREGATES, Business, aggregate_id
from faults.publishing import Event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

RECOVERY: Final = 0.05
"""Seconds after an error of the database."""

ROLLED_BACK: Final = 0.1
"""The share of transactions that are rolled back; as many have a savepoint that is."""

MOST_EVENTS: Final = 3
"""Events of a transaction."""


@dataclass(frozen=True, kw_only=True)
class WriterOrder:
    """The options of a writer process."""

    url: str
    """The database, with a sync driver."""

    name: str
    """What its tables are named after."""

    ledger: Ledger
    """Where it records what was committed."""

    threads: int = 4
    """How many transactions run at a time."""

    pause: float = 0.005
    """Seconds between two transactions of a thread."""

    late: float = 0.0
    """The share of transactions that wait between the insert of their events and the commit."""

    longest_wait: float = 0.2
    """Seconds that these wait at most."""

    first_aggregate: int = 0
    """The first aggregate that it changes."""


class DeliberateError(Exception):
    """Ends a transaction or a savepoint."""


def run_writer(order: WriterOrder) -> None:
    """Commit transactions until SIGTERM."""
    business, over = Business(order.url, order.name), threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    writers = [_Writer(order, business, random.Random(f"{order.name} {number}")) for number in range(order.threads)]
    threads = [threading.Thread(target=writer.write, args=(over,), daemon=True) for writer in writers]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():
            thread.join(0.05)  # signals are handled in between
    order.ledger.note(STOPPED, order.name)


class _Writer:
    """Commits one transaction after the other."""

    def __init__(self, order: WriterOrder, business: Business, chance: random.Random) -> None:
        self._order, self._business, self._chance = order, business, chance
        self._events: list[Event] = []

    def write(self, over: threading.Event) -> None:
        """Write until `over` is set, and record what becomes of each transaction."""
        note = self._order.ledger.note
        while not over.wait(self._order.pause):
            self._events = []
            try:
                self._transaction()
            except DeliberateError:
                continue
            except DBAPIError as error:
                note(UNCERTAIN, *(f"{each.id} {type(error).__name__}" for each in self._events))
                over.wait(RECOVERY)
            else:
                now = time.time()
                note(COMMITTED, *(f"{each.id} {now:.6f}" for each in self._events))

    def _transaction(self) -> None:
        aggregate = aggregate_id(self._chance.randrange(self._order.first_aggregate, AGGREGATES))
        if self._chance.random() < self._order.late:
            self._insert_early(aggregate)
        else:
            self._insert_last(aggregate)

    def _insert_last(self, aggregate: str) -> None:
        """Use a session, which draws the rows' numbers right before its commit."""
        business = self._business
        with Session(business.engine) as session, session.begin():
            if self._chance.random() < ROLLED_BACK:
                with suppress(DeliberateError), session.begin_nested():
                    business.outbox.add_many(session, self._change(session, aggregate))
                    raise DeliberateError
            self._events = self._change(session, aggregate)
            business.outbox.add_many(session, self._events)
            self._may_roll_back()

    def _insert_early(self, aggregate: str) -> None:
        """Draw the rows' numbers well before the commit."""
        business = self._business
        with business.engine.begin() as connection:
            self._events = business.change(connection, aggregate)
            business.outbox.add_many(connection, self._events)
            time.sleep(self._chance.random() * self._order.longest_wait)
            self._may_roll_back()

    def _change(self, session: Session, aggregate: str) -> list[Event]:
        return self._business.change(session, aggregate, self._chance.randint(1, MOST_EVENTS))

    def _may_roll_back(self) -> None:
        if self._chance.random() < ROLLED_BACK:
            raise DeliberateError
