"""Whatever dies, hangs or gets lost at whichever step: each row is one entry, in order, under one identity."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from enum import Enum
from functools import partial
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.relaying import SimulatedServer

from domainstream.errors import OutboxUnavailableError, ServerError, ServerRefusedError, ServerUnavailableError
from domainstream.outbox import Claim, Lease, MemoryOutboxStore, OutboxRelay, RelaySettings, SettledBatch, relay
from domainstream.producer import OutgoingMessage
from domainstream.publisher import BatchIdentity
from domainstream.retrying import Backoff
from domainstream.testing.outbox_harness import outgoing

SETTINGS = RelaySettings(batch_messages=3, longest_pause=timedelta(milliseconds=2), lease=timedelta(seconds=10))
CHANNELS = ("orders", "invoices")
AnswerT = TypeVar("AnswerT")


class Fault(Enum):
    """What happens to a call of a relay."""

    DIES_BEFORE = "the relay dies before the call takes effect"
    DIES_AFTER = "the relay dies after it took effect"
    HANGS_BEFORE = "the relay is suspended before it takes effect, and another one takes over"
    HANGS_AFTER = "the relay is suspended after it took effect, and another one takes over"
    FAILS_BEFORE = "the call fails, without effect"
    FAILS_AFTER = "the call takes effect, and the reply is lost"
    WAKES = "suspended relays go on beside the active one"
    REJECTS = "the server rejects a channel, until the next time"


class DeathError(Exception):
    """The end of a relay's process."""


class Faults:
    """Decides what happens to the calls of all relays."""

    def __init__(self, plan: Sequence[tuple[int, Fault]], server: SimulatedServer, transactions: list[Any]) -> None:
        """Let each fault happen that many calls after the one before, and add a transaction after each."""
        self._plan = list(plan)
        self._server = server
        self._transactions = transactions
        self._wake = asyncio.Event()
        self.successor_wanted = asyncio.Event()
        """Set when a relay has died or is suspended."""
        self.add: Callable[[list[OutgoingMessage]], None] = lambda _: None
        """Stores a transaction."""

    @property
    def over(self) -> bool:
        """Whether everything that was planned has happened."""
        return not self._plan and not self._transactions

    def first(self) -> list[OutgoingMessage]:
        """Take the first transaction."""
        return self._transactions.pop(0)  # type: ignore[no-any-return]

    def stop(self) -> None:
        """Let suspended relays go on."""
        self._wake.set()

    async def call(self, effect: Callable[[], Awaitable[AnswerT]], failure: Exception) -> AnswerT:
        """Make a call, or let it go wrong."""
        fault = self._next()
        if fault is Fault.FAILS_BEFORE:
            raise failure
        await self._end(fault, Fault.DIES_BEFORE, Fault.HANGS_BEFORE)
        answer = await effect()
        await self._end(fault, Fault.DIES_AFTER, Fault.HANGS_AFTER)
        if fault is Fault.FAILS_AFTER:
            raise failure
        return answer

    async def _end(self, fault: Fault | None, dies: Fault, hangs: Fault) -> None:
        if fault is dies:
            self.successor_wanted.set()
            raise DeathError
        if fault is hangs:
            self.successor_wanted.set()
            await self._wake.wait()

    def _next(self) -> Fault | None:
        if not self._plan:
            self._server.rejecting = {}
            self._add()
            return None
        calls, fault = self._plan[0]
        if calls:
            self._plan[0] = (calls - 1, fault)
            return None
        del self._plan[0]
        self._add()
        if fault is Fault.WAKES:
            self._wake.set()
            self._wake = asyncio.Event()
        if fault is Fault.REJECTS:
            rejecting = self._server.rejecting
            self._server.rejecting = {} if rejecting else {CHANNELS[0]: ServerRefusedError("WRONGTYPE")}
        return fault

    def _add(self) -> None:
        if self._transactions:
            self.add(self._transactions.pop(0))


class FaultyStore:
    """A relay's way to the outbox."""

    def __init__(self, store: MemoryOutboxStore, faults: Faults) -> None:
        self._store = store
        self._call = partial(faults.call, failure=OutboxUnavailableError("the database does not answer"))

    async def take_over(self, owner: str) -> Lease | None:
        """Pass it on."""
        return await self._call(lambda: self._store.take_over(owner))

    async def next_batch(self, lease: Lease, settled: SettledBatch | None, identity: BatchIdentity) -> Claim:
        """Pass it on."""
        return await self._call(lambda: self._store.next_batch(lease, settled, identity))

    async def release(self, lease: Lease, settled: SettledBatch | None) -> None:
        """Pass it on."""
        return await self._call(lambda: self._store.release(lease, settled))


class FaultyPublisher:
    """A relay's way to the server."""

    def __init__(self, server: SimulatedServer, faults: Faults, *, forgetful: bool = False) -> None:
        """With `forgetful`, send each batch under a new identity, as a relay does that notes none."""
        self._server = server
        self._forgetful = forgetful
        self._call = partial(faults.call, failure=ServerUnavailableError("the connection was lost"))

    async def send(self, messages: Sequence[OutgoingMessage], identity: BatchIdentity) -> Mapping[str, ServerError]:
        """Pass it on."""
        if self._forgetful:
            identity = BatchIdentity(f"{identity.producer}-{len(self._server.sent)}", 1)
        return await self._call(lambda: self._server.send(messages, identity))

    async def introduce(self, producer: str) -> None:
        """Pass it on."""
        return await self._call(lambda: self._server.introduce(producer))

    async def remembers(self, producer: str) -> bool:
        """Pass it on."""
        return await self._call(lambda: self._server.remembers(producer))


async def deliver(
    plan: Sequence[tuple[int, Fault]], transactions: Sequence[list[OutgoingMessage]], *, forgetful: bool = False
) -> dict[str, list[str]]:
    """Run relays until everything is delivered, whatever happens to them; return the streams."""
    ticks = 0.0

    def now() -> float:
        nonlocal ticks
        ticks += 0.05  # so that leases end and held channels come back, however fast the test is
        return ticks

    server = SimulatedServer()
    store = MemoryOutboxStore(SETTINGS, now=now)
    faults = Faults(plan, server, list(transactions))
    faults.add = store.add
    store.add(faults.first())
    relays: list[tuple[OutboxRelay, asyncio.Task[None]]] = []

    def start() -> None:
        nonlocal ticks
        ticks += 11
        faults.successor_wanted.clear()
        publisher = FaultyPublisher(server, faults, forgetful=forgetful)
        each = OutboxRelay(FaultyStore(store, faults), publisher, settings=SETTINGS)
        relays.append((each, asyncio.create_task(each.run())))

    start()
    while not (faults.over and not store.rows):
        await server.until(lambda: faults.successor_wanted.is_set() or (faults.over and not store.rows))
        if faults.successor_wanted.is_set():
            start()
    faults.stop()
    for each, _ in relays:
        each.stop()
    async with asyncio.timeout(30):
        ended = await asyncio.gather(*(task for _, task in relays), return_exceptions=True)
    unexpected = [error for error in ended if error is not None and not isinstance(error, DeathError)]
    assert unexpected == []
    return server.streams


@pytest.fixture(autouse=True, scope="module")
def _short_pauses() -> Any:
    """Let nobody wait for long."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(relay, "STAND_BY", 0.001)
        short = timedelta(milliseconds=1)
        patch.setattr(relay, "Backoff", lambda: Backoff(short, short))
        yield


def made(channels: Sequence[str]) -> list[OutgoingMessage]:
    """Return the messages of one transaction."""
    return [outgoing(channel) for channel in channels]


def expected(transactions: Sequence[list[OutgoingMessage]]) -> dict[str, list[str]]:
    """Return the streams of these transactions: each message once, in order."""
    streams: dict[str, list[str]] = {}
    for message in [message for transaction in transactions for message in transaction]:
        streams.setdefault(message.channel, []).append(message.event_id)
    return streams


plans = st.lists(st.tuples(st.integers(0, 5), st.sampled_from(Fault)), max_size=12)
shapes = st.lists(st.lists(st.sampled_from(CHANNELS), min_size=1, max_size=7), min_size=1, max_size=8)


@settings(max_examples=150, deadline=None)
@given(plans, shapes)
def test_each_row_is_one_entry_in_order(plan: list[tuple[int, Fault]], shapes: list[list[str]]) -> None:
    """Relays that die, hang, wake up late and lose replies add each committed row once, in order."""
    transactions = [made(channels) for channels in shapes]
    assert asyncio.run(deliver(plan, transactions)) == expected(transactions)


@pytest.mark.parametrize("fault", Fault)
@pytest.mark.parametrize("calls", range(8))
def test_fault_at_each_step_costs_nothing(calls: int, fault: Fault) -> None:
    """A fault at the first, second, ... call of a relay loses nothing and repeats nothing."""
    transactions = [made([*CHANNELS] * 2), made(CHANNELS)]
    assert asyncio.run(deliver([(calls, fault), (0, fault), (4, fault)], transactions)) == expected(transactions)


def test_relay_that_notes_no_identity_repeats() -> None:
    """The control: a relay that dies after it has published, and had noted nothing, is followed by duplicates."""
    transactions = [made(CHANNELS)]
    plans = [[(calls, Fault.DIES_AFTER)] for calls in range(6)]
    streams = [asyncio.run(deliver(plan, transactions, forgetful=True)) for plan in plans]
    assert any(len(each["orders"]) > 1 for each in streams)
