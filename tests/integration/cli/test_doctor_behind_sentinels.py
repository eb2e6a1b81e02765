"""`domainstream doctor` behind sentinels: what a failover costs, how late it comes, and what users need for it."""

from collections.abc import Iterator
from typing import Any

import pytest
from integration.cli.conftest import Type
from integration.cli.test_cluster import found_by

from domainstream.redis.topology import TopologyKind
from domainstream.stream.inspection.commands import needed_by
from domainstream.testing import ServerBinary, server_binaries
from domainstream.testing.sentinel_lab import PRIMARY_NAME, SentinelLab

pytestmark = pytest.mark.xdist_group("labs")


@pytest.fixture(scope="module", params=list(server_binaries()), ids=lambda binary: binary.kind)
def lab(request: pytest.FixtureRequest) -> Iterator[SentinelLab]:
    """A primary with a replica, which stay what they are."""
    binary: ServerBinary = request.param
    with SentinelLab(replicas=1, binary=binary.path) as lab:
        yield lab


@pytest.fixture
def redis_url(lab: SentinelLab) -> str:
    """The URL that the commands get."""
    return lab.url


@pytest.fixture
def redis() -> None:
    """No test here needs a client of the server."""


def set_down_after(lab: SentinelLab, milliseconds: int) -> None:
    """Let all sentinels wait for a silent primary for so long."""
    for sentinel in lab.sentinels:
        sentinel.command("SENTINEL", "SET", PRIMARY_NAME, "down-after-milliseconds", milliseconds)


async def test_late_failover_is_a_warning(typed: Type, lab: SentinelLab) -> None:
    """How long the sentinels wait is asked of them, and is a warning when publishers would have given up."""
    set_down_after(lab, 30_000)
    try:
        found = found_by(await typed("doctor", "--json"), "failover")
    finally:
        set_down_after(lab, 1_000)
    (late,) = [one for one in found if one["status"] == "warning"]
    host, port = lab.sentinels[0].address
    assert "replaced after 30 s" in late["words"]
    assert late["mend"] == f"redis-cli -h {host} -p {port} SENTINEL SET {PRIMARY_NAME} down-after-milliseconds 5000"
    assert [one for one in found_by(await typed("doctor", "--json"), "failover") if one["status"] != "ok"] == []


async def test_planned_failover_is_explained(typed: Type, lab: SentinelLab) -> None:
    """Where a planned failover can lose nothing, the doctor says how."""
    result = await typed("doctor", "--json")
    (server,) = found_by(result, "server")
    words = [one["words"] for one in found_by(result, "failover")]
    can = server["words"].startswith("Valkey 9")
    assert words == ["a planned failover loses nothing with: SENTINEL FAILOVER mymaster COORDINATED"] * can


async def test_permissions_behind_sentinels(typed: Type) -> None:
    """The command ROLE, without which nothing connects, is one of those that are needed."""
    assert "role" in needed_by("publisher", kind=TopologyKind.SENTINEL)
    assert "role" not in needed_by("publisher")
    (found,) = found_by(await typed("doctor", "--json", "--role", "publisher"), "permissions")
    assert found["status"] == "ok"


async def test_lag_of_the_replica_is_put_as_entries(typed: Type, lab: SentinelLab, stream_prefix: str) -> None:
    """What even the most advanced replica lacks is a number of bytes, and of entries at most."""
    primary, replica = lab.primary(), next(node for node in lab.servers if node is not lab.primary())
    primary.wait_for_replicas()
    set_down_after(lab, 60_000)
    replica.pause()
    try:
        for _ in range(50):
            primary.command("XADD", f"{stream_prefix}orders", "*", "data", "x" * 500)
        (found,) = found_by(await typed("doctor", "--json"), "replication")
    finally:
        replica.resume()
        set_down_after(lab, 1_000)
    entries: Any = int(found["words"].partition("at most about ")[2].partition(" ")[0])
    assert 20 < entries <= 100
