"""A team's first bad week, with default settings: nothing is lost, and a few commands find and repair everything."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from support.consuming import until
from support.on_call import PATIENCE, Hospital, OnCall
from support.postgres import PostgresServer, postgres_binaries, postgres_server

from domainstream.testing import server_binaries

ANY_SERVER = [binary.kind for binary in server_binaries()][:1]
pytestmark = [pytest.mark.slow, pytest.mark.parametrize("redis_url", ANY_SERVER, indirect=True, scope="session")]

OUTAGE = 10.0
"""Seconds: longer than three attempts with the old pauses took."""

FEW = 5
"""Every incident must be understood and repaired with fewer commands."""


@pytest.fixture
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL of the test's own, which may be stopped."""
    binaries = postgres_binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL; run: apt-get install postgresql")
    with postgres_server(binaries) as server:
        yield server


@pytest.fixture
async def hospital(
    redis_url: str, stream_prefix: str, postgres: PostgresServer, tmp_path: Path
) -> AsyncIterator[Hospital]:
    """The system, in its first release."""
    system = Hospital(redis_url, stream_prefix, postgres, tmp_path)
    try:
        await system.set_up()
        for program in ("subscriber", "worker", "coding"):
            await system.deploy(program)
        yield system
    finally:
        await system.close()


@pytest.fixture
def on_call(hospital: Hospital) -> OnCall:
    """The engineer on call."""
    return OnCall(hospital)


async def test_everything_is_billed_on_a_good_day(hospital: Hospital) -> None:
    """Each stay that the API has confirmed gets a bill."""
    await hospital.until_billed(await hospital.take_in(50))


async def test_outage_of_the_database_needs_nobody(hospital: Hospital, on_call: OnCall) -> None:
    """While the database is away for ten seconds, jobs wait for it; afterwards all are billed, without any command."""
    await hospital.until_billed(await hospital.take_in(5))
    hospital.postgres.stop()
    await hospital.until_the_database_is_away()
    missing = await hospital.take_in(100)
    await asyncio.sleep(OUTAGE)  # an outage has a length
    (group,) = await on_call.json("jobs", "ls", "billing")
    assert (group["state"], group["error"]) == ("delayed", "OperationalError")
    assert 0 < group["jobs"] <= len(missing)  # the others are being tried again
    assert "billing.py" in group["where"]
    hospital.postgres.start()
    await hospital.until_billed(hospital.published)


async def test_producer_may_be_deployed_before_its_consumer(hospital: Hospital, on_call: OnCall) -> None:
    """Events of a newer version wait for the consumer that knows it, and say so."""
    await hospital.until_billed(await hospital.take_in(5))
    await hospital.deploy("coding", RELEASE="2")
    newer = await hospital.take_in(20)

    async def waiting() -> bool:
        groups = await on_call.json("jobs", "ls", "billing")
        return [(group["state"], group["error"], group["jobs"]) for group in groups] == [
            ("delayed", "UnknownEventVersionError", len(newer))
        ]

    await until(waiting, patience=PATIENCE)
    on_call.commands.clear()
    report = await on_call.types("doctor", exit_code=1)  # the server of the tests writes nothing to disk
    assert "billing" in report
    await hospital.deploy("worker", RELEASE="2")
    await on_call.types("jobs", "retry", "billing", "--state", "delayed", "--all", "--yes")
    await hospital.until_billed(hospital.published)
    assert len(on_call.commands) < FEW


async def test_poison_event_is_found_understood_and_repaired(hospital: Hospital, on_call: OnCall) -> None:
    """An event that a handler gives up delays no other; its cause is one line, and a retry after the fix bills it."""
    poison = await hospital.take_in(1, code="X99")
    await hospital.until_billed(await hospital.take_in(20))
    await until(lambda: "worker.job_failed" in hospital.log(), patience=PATIENCE)
    report = await on_call.types("doctor", exit_code=1)  # the server of the tests writes nothing to disk
    assert "domainstream jobs ls billing" in report
    (group,) = await on_call.json("jobs", "ls", "billing", "--state", "failed")
    shown = await on_call.types("jobs", "show", "billing", group["example"])
    assert poison[0] in shown
    assert "the code has no price" in shown
    assert "billing.py" in shown
    await hospital.deploy("worker", PRICE_OF_X99="yes")
    await on_call.types("jobs", "retry", "billing", group["example"], "--yes")
    await hospital.until_billed(hospital.published)
    assert len(on_call.commands) < FEW
