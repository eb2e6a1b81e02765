"""Whatever happens to Redis, no committed event is lost, and only a server that lost its memory gets some twice."""

import random
from pathlib import Path

import pytest
from faults.children.outbox_relay import Step
from faults.conftest import Report
from faults.outbox.outbox_scene import OutboxScene
from faults.sizes import Size
from faults.test_full_memory import NO_LIMIT, leave_none

from domainstream.testing.fault_proxy import FaultProxy

EVENTS, BATCH = 100, 20
EVALSHA, XADD = b"EVALSHA", b"XADD"
SHARE = 0.05


@pytest.fixture
def server_options(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, ...]:
    """Keep everything in an append-only file before replying, unless a test switches it off."""
    if getattr(request, "param", "kept") == "forgotten":
        return ()
    folder = tmp_path / "server"
    folder.mkdir()
    return ("--appendonly", "yes", "--appendfsync", "always", "--dir", str(folder))


async def test_server_that_is_killed(scene: OutboxScene, size: Size, chance: random.Random, report: Report) -> None:
    """A server that writes its file before it replies has each event once, in order, however often it is killed."""
    writer = scene.writer()
    scene.relay(lease=10.0)
    for _ in range(size.server_kills):
        await scene.until_progress(chance.randint(20, 100))
        scene.crash_server()
        scene.server.start()
        await scene.until(scene.answers)
    await scene.until_progress(1)
    await scene.stop(writer)
    await scene.until_drained()
    report(f"{size.server_kills} kills: {await scene.assert_delivered()}")


@pytest.mark.parametrize("server_options", ["forgotten"], indirect=True)
async def test_control_server_without_a_file(scene: OutboxScene) -> None:
    """Control: a server without a file loses what it had confirmed, and the outbox has deleted."""
    scene.relay()
    scene.commit(EVENTS)
    await scene.until_drained()
    scene.crash_server()
    scene.server.start()
    await scene.until(scene.answers)
    found = await scene.compared()
    assert found.lost == EVENTS


@pytest.mark.parametrize("server_options", ["forgotten"], indirect=True)
async def test_one_reply_in_twenty(scene: OutboxScene, size: Size, report: Report) -> None:
    """A relay that loses 5 % of the replies publishes each event once, in order."""
    scene.commit(size.events // 40, events=10)
    async with FaultProxy(scene.server.url) as proxy:
        proxy.lose_share_of_replies_to(EVALSHA, SHARE, seed=1)
        scene.relay(redis_url=proxy.url, batch=5)
        await scene.until_drained()
        assert proxy.faults
        report(f"{proxy.faults} replies lost: {await scene.assert_delivered()}")


@pytest.mark.parametrize("server_options", ["forgotten"], indirect=True)
async def test_control_an_add_that_is_repeated(scene: OutboxScene) -> None:
    """Control: an entry is there twice when redis-py repeats the command of a lost reply by itself."""
    scene.commit(EVENTS)
    async with FaultProxy(scene.server.url) as proxy:
        proxy.lose_replies_to(XADD, 1)
        scene.naive_relay(redis_url=proxy.url)
        await scene.until_drained()
    found = await scene.compared()
    assert (found.lost, found.twice) == (0, 1)


@pytest.mark.parametrize("server_options", ["forgotten"], indirect=True)
async def test_full_memory(scene: OutboxScene) -> None:
    """While the server's memory is full, everything waits; with room, each event is published once, in order."""
    scene.relay(lease=10.0)
    scene.commit(EVENTS)
    await scene.until_drained()
    await leave_none(scene.redis)
    scene.commit(EVENTS)
    await scene.logged("outbox.retried")
    assert (scene.business.backlog(), await scene.length()) == (EVENTS, EVENTS)
    await scene.redis.config_set("maxmemory", NO_LIMIT)
    await scene.until_drained()
    await scene.assert_delivered()
    assert scene.times_logged("outbox.channel_held") == 0


@pytest.mark.parametrize("server_options", ["forgotten"], indirect=True)
async def test_memory_that_is_lost(scene: OutboxScene) -> None:
    """After FLUSHALL only the batch in flight is published again, which the log says; what follows comes once."""
    scene.commit(EVENTS)
    relay = scene.relay(batch=BATCH, at=(Step.SENT, 3))
    await scene.ended(relay)
    before = {entry.event_id for entry in await scene.entries()}
    await scene.redis.flushall()
    scene.relay(batch=BATCH)
    scene.commit(EVENTS)
    await scene.until_drained()
    entries = [entry.event_id for entry in await scene.entries()]
    assert len(set(entries)) == len(entries)
    assert before | set(entries) == scene.business.committed().keys()
    repeated = len(before & set(entries))
    assert 0 < repeated <= BATCH
    await scene.logged(f"outbox.server_lost_memory rows={repeated}")
