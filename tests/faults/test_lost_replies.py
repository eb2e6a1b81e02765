"""Whatever the server did before a reply was lost, each queue gets each event once, in order."""

import pytest
from faults.conftest import Report
from faults.ledger import PUBLISHED
from faults.scene import Scene, assert_once_and_in_order
from faults.sizes import Size
from support.consuming import EVALUATED

from domainstream.queue.bullmq.add_calls import add_script
from domainstream.stream.reader import turns
from domainstream.testing.fault_proxy import FaultProxy

FEW, MORE = 8, 40
"""Entries of a read: so few that a script reads them, or as many as a transaction reads. Both lose many replies."""

EVENTS, BATCH = 300, 50
"""The sizes of the control runs."""

NEW_ENTRIES = b"\r\n>\r\n"


@pytest.mark.parametrize(
    ("command", "entries", "share"),
    [(NEW_ENTRIES, MORE, 0.2), (turns.TURN.sha.encode(), FEW, 0.05), (add_script().sha.encode(), FEW, 0.05)],
    ids=["transaction", "turn", "add"],
)
async def test_lost_replies(
    scene: Scene, size: Size, report: Report, command: bytes, entries: int, share: float
) -> None:
    """A subscriber that loses some of the replies to a step loses no event and repeats none; queues forget at once."""
    await scene.publish(size.events)
    async with FaultProxy(scene.server.url) as proxy, scene.forgetting():
        proxy.lose_share_of_replies_to(command, share)
        scene.subscriber(url=proxy.url, max_entries=entries)
        await scene.forwarded(scene.ledger.count(PUBLISHED) * 2)
        assert proxy.faults
        report(f"{proxy.faults} replies lost over {size.events} events")
    await assert_once_and_in_order(scene)


async def test_control_a_read_that_is_repeated(scene: Scene) -> None:
    """Control: when redis-py repeats a read by itself, the entries of the lost reply stay pending and unseen."""
    await scene.publish(EVENTS * 2)  # the bridge carries one of the two channels
    async with FaultProxy(scene.server.url) as proxy:
        proxy.lose_replies_to(NEW_ENTRIES, 1)
        scene.bridge(url=proxy.url, batch=BATCH)
        await scene.until_waiting((EVENTS - BATCH) * 2)
        await scene.until_pending(BATCH, [EVALUATED])
    assert await scene.waiting() == (EVENTS - BATCH) * 2


async def test_control_an_add_that_is_repeated(scene: Scene) -> None:
    """Control: jobs without ids are in the queue twice when they are added again after a lost reply."""
    await scene.publish(EVENTS * 2)
    async with FaultProxy(scene.server.url) as proxy:
        proxy.lose_replies_to(b"EXEC", 1)
        scene.bridge(url=proxy.url, batch=BATCH)
        await scene.forwarded(EVENTS * 2 + BATCH, [EVALUATED])
    assert await scene.waiting() == EVENTS * 2 + BATCH
