"""Events that a server acknowledged arrive soon after it is back, however often it is killed."""

import asyncio
import random
import time
from pathlib import Path

import pytest
from faults.children.subscriber import QUEUES
from faults.children.worker import QUICK_RECOVERY
from faults.conftest import Report
from faults.ledger import HANDLED, PUBLISHED, UNCERTAIN
from faults.publishing import publishing
from faults.scene import Scene, assert_handled, missing
from faults.sizes import Size

PROMISED, BEARABLE = 2.0, 60.0
"""Seconds from the server's return to the next event that is handled: as promised, and on a machine at its limit."""

pytestmark = pytest.mark.every_server


@pytest.fixture
def server_options(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, ...]:
    """Keep everything in an append-only file, unless a test switches it off."""
    if getattr(request, "param", "kept") == "forgotten":
        return ()
    folder = tmp_path / "server"
    folder.mkdir()
    return ("--appendonly", "yes", "--appendfsync", "everysec", "--dir", str(folder))


async def crash_and_come_back(scene: Scene) -> float:
    """Kill and restart the server; return the seconds until an event that was published since then was handled."""
    scene.crash_server()
    known = len(scene.ledger.read(PUBLISHED))
    scene.server.start()
    await scene.until(scene.answers)
    back = time.monotonic()
    await scene.until(lambda: _handled_newer_than(scene, known))
    return time.monotonic() - back


def _handled_newer_than(scene: Scene, known: int) -> bool:
    """Return whether an event that was published after the `known` ones has been handled."""
    newer = {f"{queue} {line}" for line in scene.ledger.read(PUBLISHED)[known:] for queue in QUEUES}
    return any(line in newer for line in scene.ledger.read(HANDLED)[-1_000:])


async def test_acknowledged_events_arrive(scene: Scene, size: Size, chance: random.Random, report: Report) -> None:
    """With an append-only file no acknowledged event is lost, and events are handled again soon after a restart."""
    scene.subscriber()
    scene.worker(settings=QUICK_RECOVERY)
    pauses = []
    async with publishing(scene.server.url, scene.ledger):
        for _ in range(size.server_kills):
            # The life of a server: what happens in it is not waited for.
            await asyncio.sleep(chance.uniform(*size.server_lives))
            pauses.append(await crash_and_come_back(scene))
    await scene.until(lambda: not any(missing(scene.ledger, queue) for queue in QUEUES))
    assert_handled(scene.ledger, once=False)
    await scene.until_pending(0)
    published, uncertain = scene.ledger.count(PUBLISHED), scene.ledger.count(UNCERTAIN)
    repeats = scene.ledger.count(HANDLED) - len(set(scene.ledger.read(HANDLED)))
    report(
        f"{size.server_kills} kills, {published} events acknowledged, {uncertain} uncertain, 0 lost, {repeats} jobs of "
        f"{published * 2} handled twice; going again after {max(pauses):.2f} s at most"
    )
    assert max(pauses) < (PROMISED if size.strict else BEARABLE)


@pytest.mark.parametrize("server_options", ["forgotten"], indirect=True)
async def test_control_without_a_file(scene: Scene) -> None:
    """Control: a server without a file loses acknowledged events, and the subscriber goes on with new ones."""
    await scene.publish(100)
    scene.crash_server()
    scene.server.start()
    scene.subscriber()
    scene.worker()
    await scene.publish(100)
    await scene.handled(200)
    assert {len(missing(scene.ledger, queue)) for queue in QUEUES} == {100}
