"""What is committed is delivered, and nothing else, however often PostgreSQL is killed while it commits."""

import random

import pytest
from faults.conftest import Report
from faults.ledger import UNCERTAIN
from faults.outbox.business import aggregate_id
from faults.outbox.outbox_scene import OutboxScene
from faults.sizes import Size
from sqlalchemy.exc import DBAPIError
from support.postgres import PostgresServer

from domainstream.event import EventEncoder

pytestmark = [pytest.mark.one_server, pytest.mark.parametrize("database_url", ["own"], indirect=True)]


async def test_committed_is_delivered(
    scene: OutboxScene, postgres: PostgresServer, size: Size, chance: random.Random, report: Report
) -> None:
    """Of transactions whose COMMIT got no answer, those are delivered whose rows are there after the restart."""
    writer = scene.writer(late=0.02)
    scene.relay(lease=10.0)
    for _ in range(size.database_kills):
        await scene.until_progress(chance.randint(20, 100))
        postgres.kill()
        postgres.start()
        postgres.wait()
        scene.business.engine.dispose()
    await scene.until_progress(1)
    await scene.stop(writer)
    await scene.until_drained()
    found = await scene.assert_delivered()
    unanswered = [line.split()[0] for line in scene.ledger.read(UNCERTAIN)]
    there = sum(event_id in scene.business.committed() for event_id in unanswered)
    report(
        f"{size.database_kills} kills: {found}; {len(unanswered)} events without an answer, {there} of them committed"
    )
    assert scene.times_logged("outbox.retried") > 0


async def test_control_publish_before_the_commit(scene: OutboxScene, postgres: PostgresServer) -> None:
    """Control: an event that is published within the transaction is in its stream although nothing was committed."""
    connection = scene.business.engine.connect()
    (event,) = scene.business.change(connection, aggregate_id(0))
    await scene.redis.xadd(str(event.event_type), {"data": EventEncoder("coding").encode(event)})
    postgres.kill()
    with pytest.raises(DBAPIError):
        connection.commit()
    connection.invalidate()
    connection.close()
    postgres.start()
    postgres.wait()
    found = await scene.compared()
    assert (found.committed, found.ghosts) == (0, 1)
