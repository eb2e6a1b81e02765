"""A relay publishes, waits, holds, stands by and stops: with an outbox and a server in memory."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from support.relaying import SimulatedServer

from domainstream.errors import (
    OutboxError,
    OutboxUnavailableError,
    ServerOutOfMemoryError,
    ServerRefusedError,
    ServerUnavailableError,
)
from domainstream.outbox import (
    Claim,
    Lease,
    MemoryOutboxStore,
    OutboxRelay,
    RelaySettings,
    SettledBatch,
    relay,
    retrying_publisher,
)
from domainstream.publisher import BatchIdentity
from domainstream.testing.outbox_harness import outgoing

SETTINGS = RelaySettings(batch_messages=5, longest_pause=timedelta(milliseconds=2), lease=timedelta(seconds=60))
AWAY = ServerUnavailableError("no connection to the server")


class UnsteadyStore(MemoryOutboxStore):
    """An outbox in memory on a clock of its own, whose calls may fail."""

    def __init__(self, settings: RelaySettings = SETTINGS) -> None:
        self.seconds = 1_000_000.0
        """Its clock."""
        self.away: OutboxError | None = None
        """What every call fails with, as long as it is set."""
        self.failures: list[OutboxError] = []
        """What the next calls of `next_batch` fail with, after they took effect."""
        self.calls = 0
        super().__init__(settings, now=lambda: self.seconds)

    async def take_over(self, owner: str) -> Lease | None:
        """Take the lease, or fail."""
        self._fail()
        return await super().take_over(owner)

    async def next_batch(self, lease: Lease, settled: SettledBatch | None, identity: BatchIdentity) -> Claim:
        """Claim, or fail."""
        self._fail()
        claim = await super().next_batch(lease, settled, identity)
        if self.failures:
            raise self.failures.pop(0)
        return claim

    async def release(self, lease: Lease, settled: SettledBatch | None) -> None:
        """Give the lease back, or fail."""
        self._fail()
        await super().release(lease, settled)

    async def is_free(self) -> bool:
        """Return whether another relay could take over at once."""
        return await self.take_over("another relay") is not None

    def pass_time(self, seconds: float) -> bool:
        """Set the clock forward; return False."""
        self.seconds += seconds
        return False

    def _fail(self) -> None:
        self.calls += 1
        if self.away is not None:
            raise self.away


@pytest.fixture(autouse=True)
def _no_long_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let relays that stand by look often."""
    monkeypatch.setattr(relay, "STAND_BY", 0.005)


@asynccontextmanager
async def running(store: UnsteadyStore, server: SimulatedServer) -> AsyncIterator[OutboxRelay]:
    """Run a relay for the time of the block, and stop it; its error is raised."""
    relay = OutboxRelay(store, server, settings=SETTINGS)
    task = asyncio.create_task(relay.run())
    try:
        yield relay
        relay.stop()
        async with asyncio.timeout(30):
            await task
    finally:
        task.cancel()


def ids_of(*messages: object) -> list[str]:
    """Return event ids."""
    return [message.event_id for message in messages]  # type: ignore[attr-defined]


async def test_rows_are_published_in_order_and_deleted() -> None:
    """Everything that was stored is in its stream once, in order, and the outbox is empty."""
    store, server = UnsteadyStore(), SimulatedServer()
    messages = [outgoing("orders") for _ in range(23)]
    store.add(messages[:12])
    async with running(store, server) as relay:
        await server.until(lambda: len(server.streams.get("orders", [])) == 12)
        store.add(messages[12:])
        await server.until(lambda: not store.rows)
        assert (relay.stats.published, relay.stats.takeovers, relay.stats.is_active) == (23, 1, True)
    assert server.streams == {"orders": ids_of(*messages)}
    assert not relay.stats.is_active


async def test_idle_relay_gives_its_lease_back() -> None:
    """A relay that is stopped while it has nothing to do lets another one take over at once."""
    store, server = UnsteadyStore(), SimulatedServer()
    async with running(store, server):
        await server.until(lambda: store.calls > 3)
    assert await store.is_free()


async def test_begun_batch_is_finished_when_stopped() -> None:
    """The batch that is being published when the relay is stopped is settled before the lease is given back."""
    store, server = UnsteadyStore(), SimulatedServer()
    store.add([outgoing("orders") for _ in range(7)])
    server.open.clear()
    async with running(store, server) as relay:
        await server.waiting.wait()
        relay.stop()
        server.open.set()
    assert [len(ids) for _, ids in server.sent] == [5]
    assert len(store.rows) == 2
    assert await store.is_free()


async def test_stopped_relay_does_not_wait_for_redis() -> None:
    """While Redis is away a relay stops all the same, and its successor publishes the batch under its identity."""
    store, server = UnsteadyStore(), SimulatedServer()
    store.add([message := outgoing("orders")])
    server.lost_replies, server.on_lost_reply = 1, server.go_away
    async with running(store, server):
        await server.until(lambda: bool(server.sent))
    assert len(store.rows) == 1
    server.away = None
    async with running(store, server):
        await server.until(lambda: not store.rows)
    assert server.streams == {"orders": [message.event_id]}
    assert len({identity for identity, _ in server.sent}) == 1


async def test_relay_stops_before_redis_was_ever_there() -> None:
    """A relay that has not reached Redis yet stops, and gives its lease back."""
    store, server = UnsteadyStore(), SimulatedServer()
    server.away = AWAY
    async with running(store, server) as relay:
        await server.until(lambda: relay.stats.is_active)
    assert await store.is_free()


async def test_stopped_relay_does_not_wait_for_the_database() -> None:
    """While the database is away a relay stops all the same."""
    store, server = UnsteadyStore(), SimulatedServer()
    async with running(store, server):
        await server.until(lambda: store.calls > 3)
        store.away = OutboxUnavailableError("the database does not answer")
        calls = store.calls
        await server.until(lambda: store.calls > calls + 1)


async def test_stopped_relay_whose_release_fails_returns() -> None:
    """A relay that cannot give its lease back ends; another one waits until the lease has run out."""
    store, server = UnsteadyStore(), SimulatedServer()
    store.add([outgoing("orders")])
    server.open.clear()
    async with running(store, server) as relay:
        await server.waiting.wait()
        relay.stop()
        store.away = OutboxUnavailableError("the database does not answer")
        server.open.set()
    store.away = None
    assert not await store.is_free()


async def test_relay_that_stands_by_stops() -> None:
    """A relay that never was active ends at once, and leaves the active one alone."""
    store, server = UnsteadyStore(), SimulatedServer()
    async with running(store, server) as active:
        await server.until(lambda: active.stats.is_active)
        async with running(store, server) as other:
            calls = store.calls
            await server.until(lambda: store.calls > calls + 5)
            assert not other.stats.is_active
            assert (await other.health()).ok
        assert other.stats.takeovers == 0
        store.add([outgoing("orders")])
        await server.until(lambda: not store.rows)
        assert active.stats.takeovers == 1


async def test_relay_stops_under_constant_inflow() -> None:
    """A relay whose outbox never gets empty stops after the batch that has begun."""
    store, server = UnsteadyStore(), SimulatedServer()
    server.on_send = lambda: store.add([outgoing("orders") for _ in range(10)])
    store.add([outgoing("orders")])
    async with running(store, server) as relay:
        await server.until(lambda: len(server.sent) > 3)
        relay.stop()
        sent = len(server.sent)
    assert len(server.sent) <= sent + 1
    assert len(store.rows) > 5
    assert await store.is_free()


async def test_second_relay_takes_over_from_one_that_ends() -> None:
    """A relay that stands by becomes active when the other gives its lease back."""
    store, server = UnsteadyStore(), SimulatedServer()
    async with running(store, server) as first:
        await server.until(lambda: first.stats.is_active)
        async with running(store, server) as second:
            first.stop()
            await server.until(lambda: second.stats.is_active)
            store.add([message := outgoing("orders")])
            await server.until(lambda: not store.rows)
    assert server.streams == {"orders": [message.event_id]}


async def test_relay_that_lost_its_lease_stands_by(caplog: pytest.LogCaptureFixture) -> None:
    """A relay that another one has replaced reports it, publishes nothing more, and takes over when it may."""
    store, server = UnsteadyStore(), SimulatedServer()
    async with running(store, server) as relay:
        await server.until(lambda: relay.stats.is_active)
        store.seconds += 61
        lease = await store.take_over("another relay")
        assert lease is not None
        store.add([outgoing("orders")])
        await server.until(lambda: not relay.stats.is_active)
        assert server.sent == []
        assert [record.levelname for record in caplog.records if "outbox.lease_lost" in record.message] == ["WARNING"]
        await store.release(lease, None)
        await server.until(lambda: not store.rows)
        assert relay.stats.takeovers == 2


async def test_failed_claim_is_followed_by_a_takeover(caplog: pytest.LogCaptureFixture) -> None:
    """When it is unknown whether a claim took effect, the relay takes over anew and repeats what was noted."""
    store, server = UnsteadyStore(), SimulatedServer()
    store.add(messages := [outgoing("orders") for _ in range(12)])
    store.failures = [OutboxUnavailableError("the database does not answer")] * 3
    async with running(store, server) as relay:
        await server.until(lambda: not store.rows)
        assert relay.stats.takeovers == 4
        assert (await relay.health()).ok
    assert server.streams == {"orders": ids_of(*messages)}
    assert [record.levelname for record in caplog.records if "outbox.retried" in record.message] == ["WARNING"] * 2


async def test_pauses_grow_while_every_claim_fails(caplog: pytest.LogCaptureFixture) -> None:
    """A takeover that succeeds does not end a series of failures: of five, the first, second and fourth are logged."""
    store, server = UnsteadyStore(), SimulatedServer()
    store.failures = [OutboxUnavailableError("canceling statement due to statement timeout")] * 5
    async with running(store, server) as relay:
        await server.until(lambda: relay.stats.takeovers == 6 and store.calls > 12)
        assert (await relay.health()).ok
    pauses = [record.message for record in caplog.records if "outbox.retried" in record.message]
    assert len(pauses) == 3


async def test_final_error_of_the_database_ends_the_relay() -> None:
    """An outbox that cannot be worked on ends `run` with the error, which health names no longer."""
    store, server = UnsteadyStore(), SimulatedServer()
    store.away = OutboxError("the outbox is not complete; create its tables")
    relay = OutboxRelay(store, server, settings=SETTINGS)
    with pytest.raises(OutboxError, match="create its tables"):
        await relay.run()
    assert (await relay.health()).problem == "the relay does not run"


async def test_cancelled_relay_gives_its_lease_back() -> None:
    """Cancelling `run` stops the relay in order, and is raised again."""
    store, server = UnsteadyStore(), SimulatedServer()
    store.add([outgoing("orders")])
    server.open.clear()
    task = asyncio.create_task(OutboxRelay(store, server, settings=SETTINGS).run())
    await server.waiting.wait()
    task.cancel()
    server.open.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert store.rows == {}
    assert await store.is_free()


async def test_relay_closed_while_it_runs_ends() -> None:
    """`close` stops the relay and returns once `run` has; a second call does nothing."""
    store, server = UnsteadyStore(), SimulatedServer()
    relay = OutboxRelay(store, server, settings=SETTINGS)
    task = asyncio.create_task(relay.run())
    await server.until(lambda: relay.stats.is_active)
    await relay.close()
    await relay.close()
    await task
    assert await store.is_free()


async def test_batch_is_repeated_under_its_identity() -> None:
    """While Redis does not answer, the batch is sent again and again, and added once."""
    store, server = UnsteadyStore(), SimulatedServer()
    store.add([message := outgoing("orders")])
    server.lost_replies = 2
    async with running(store, server):
        await server.until(lambda: not store.rows)
    assert server.streams == {"orders": [message.event_id]}
    assert [identity for identity, _ in server.sent] == [server.sent[0][0]] * 3


async def test_each_batch_has_an_identity_of_its_own() -> None:
    """Batches count up under one producer, and each takeover draws a new one."""
    store, server = UnsteadyStore(), SimulatedServer()
    for _ in range(2):
        store.add([outgoing("orders") for _ in range(12)])
        async with running(store, server):
            await server.until(lambda: not store.rows)
    identities = [identity for identity, _ in server.sent]
    assert [identity.sequence for identity in identities] == [1, 2, 3] * 2
    assert len({identity.producer for identity in identities}) == 2


@pytest.mark.parametrize("error", [AWAY, ServerOutOfMemoryError("the server's memory is full")], ids=["away", "full"])
async def test_server_that_takes_nothing_is_waited_for(
    error: ServerUnavailableError, caplog: pytest.LogCaptureFixture
) -> None:
    """Without a connection and without memory everything waits, and health says what for; no channel is held."""
    store, server = UnsteadyStore(), SimulatedServer()
    async with running(store, server) as relay:
        await server.until(lambda: store.calls > 2)
        server.away = error
        store.add([outgoing("orders"), outgoing("invoices")])
        await server.until(lambda: "outbox.retried" in caplog.text)
        assert (await relay.health()).problem == str(error)
        assert relay.stats.held == {}
        server.away = None
        await server.until(lambda: not store.rows)
        assert (await relay.health()).ok
    assert set(server.streams) == {"orders", "invoices"}


async def test_rejected_channel_is_held_while_others_go_on(caplog: pytest.LogCaptureFixture) -> None:
    """A channel that the server rejects is reported and waits; it is published in order once it is taken again."""
    caplog.set_level(logging.INFO)
    store, server = UnsteadyStore(), SimulatedServer()
    server.rejecting["broken"] = ServerRefusedError("WRONGTYPE")
    messages = [outgoing(channel) for _ in range(10) for channel in ("broken", "orders")]
    store.add(messages)
    async with running(store, server) as relay:
        await server.until(lambda: len(server.streams.get("orders", [])) == 10)
        assert relay.stats.held["broken"].reason == "WRONGTYPE"
        assert [row.channel for row in store.rows.values()] == ["broken"] * 10
        assert relay.stats.published == 10
        store.seconds += 2
        await server.until(lambda: relay.stats.held["broken"].attempts == 2)
        server.rejecting.clear()
        store.seconds += 3
        await server.until(lambda: not store.rows)
        await server.until(lambda: not relay.stats.held)
    for channel in ("broken", "orders"):
        assert server.streams[channel] == [each.event_id for each in messages if each.channel == channel]
    reported = [record.message for record in caplog.records if "outbox.channel" in record.message]
    assert reported == [
        "outbox.channel_held channel=broken attempts=1 reason=WRONGTYPE",
        "outbox.channel_held channel=broken attempts=2 reason=WRONGTYPE",
        "outbox.channel_released channel=broken",
    ]


async def test_relay_without_redis_asks_whether_another_took_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """A relay that waits for Redis for many terms of its lease leaves the outbox to one that reaches Redis."""
    monkeypatch.setattr(retrying_publisher, "LEASES", 0)
    store, server, unreachable = UnsteadyStore(), SimulatedServer(), SimulatedServer()
    unreachable.away = AWAY
    store.add([message := outgoing("orders")])
    async with running(store, unreachable) as first:
        await server.until(lambda: first.stats.takeovers > 1)
        async with running(store, server) as second:
            await server.until(lambda: second.stats.is_active or store.pass_time(61))
            await server.until(lambda: not store.rows)
            await server.until(lambda: not first.stats.is_active)
            assert (await first.health()).ok
    assert server.streams == {"orders": [message.event_id]}


async def test_lost_reply_alone_is_no_lost_memory(caplog: pytest.LogCaptureFixture) -> None:
    """A server that still knows the relay's producer recognizes every repeat, and nothing is reported."""
    store, server = UnsteadyStore(), SimulatedServer()
    server.lost_replies = 2
    store.add([message := outgoing("orders")])
    async with running(store, server):
        await server.until(lambda: not store.rows)
    assert "outbox.server_lost_memory" not in caplog.text
    assert server.streams == {"orders": [message.event_id]}


async def test_repeat_at_a_server_that_lost_its_memory_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    """When the server forgets a batch whose reply was lost, the repeat is added again, and reported once."""
    store, server = UnsteadyStore(), SimulatedServer()
    store.add([outgoing("orders"), outgoing("orders")])
    server.lost_replies, server.on_lost_reply = 1, server.forget
    async with running(store, server) as relay:
        await server.until(lambda: not store.rows)
        assert relay.stats.takeovers == 1
    reported = [record for record in caplog.records if "outbox.server_lost_memory" in record.message]
    assert [record.message for record in reported] == ["outbox.server_lost_memory rows=2"]


async def test_successor_reports_a_server_that_lost_its_memory(caplog: pytest.LogCaptureFixture) -> None:
    """A relay that repeats the batch of another one notices that the server has forgotten that one's producer."""
    store, server = UnsteadyStore(), SimulatedServer()
    store.add([outgoing("orders")])
    server.lost_replies, server.on_lost_reply = 1, server.go_away
    async with running(store, server):
        await server.until(lambda: bool(server.sent))
    server.away = None
    server.forget()
    async with running(store, server):
        await server.until(lambda: not store.rows)
    assert caplog.text.count("outbox.server_lost_memory") == 1
