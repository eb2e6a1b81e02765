"""Every part works behind sentinels, and leaves a primary that was replaced while that still takes writes."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from support.consuming import EVALUATED, GROUP, evaluated, message, until
from support.programs import publish_until_handled
from support.publishing import messages

from domainstream import Outcome, RedisStreamPublisherClient
from domainstream.cli.main import cli
from domainstream.errors import ServerUnavailableError
from domainstream.queue import BullMQJobAdder, Job, RoutedEntry
from domainstream.redis.connection import connect
from domainstream.stream import LeaseLostError, RedisStreamReader
from domainstream.testing import ServerBinary, server_binaries
from domainstream.testing.sentinel_lab import SentinelLab
from domainstream.testing.server_lab import LabNode

TARGETS = Path(__file__).parents[1] / "cli"
TESTS = Path(__file__).parents[2]
BINARIES = server_binaries()

pytestmark = pytest.mark.xdist_group("labs")


@pytest.fixture(scope="module")
def steady() -> Iterator[SentinelLab]:
    """Servers whose primary stays."""
    with SentinelLab(replicas=1) as lab:
        yield lab


@pytest.fixture(params=BINARIES, ids=[binary.kind for binary in BINARIES])
def lab(request: pytest.FixtureRequest) -> Iterator[SentinelLab]:
    """Servers of one test."""
    binary: ServerBinary = request.param
    with SentinelLab(replicas=1, binary=binary.path) as lab:
        yield lab


async def replace(lab: SentinelLab, way: str) -> tuple[LabNode, LabNode]:
    """Replace the primary, and leave the old one running, as a primary; return both."""
    old = lab.primary()
    if way == "planned":
        return old, await asyncio.to_thread(lab.fail_over)
    old.pause()
    new = await asyncio.to_thread(lab.wait_for_another, old)
    old.resume()
    return old, new


def length(node: LabNode, key: str) -> int:
    """Return how many entries a server has in a stream."""
    return int(node.command("XLEN", key))


@pytest.mark.parametrize("way", ["planned", "paused"])
async def test_publisher_leaves_a_primary_that_was_replaced(lab: SentinelLab, way: str) -> None:
    """What is acknowledged after the sentinels have named another primary is there; control: a plain URL is not."""
    old_url = lab.primary().url
    connect_to = RedisStreamPublisherClient.from_url
    async with connect_to(lab.url) as client, connect_to(old_url) as stays:
        for one in (client, stays):
            await one.publish(messages("before", 1))
        old, new = await replace(lab, way)
        await until(lambda: _publishes_at(client, new))
        ends = length(old, "domain_followed")

        (receipt,) = await client.publish(messages("domain_followed", 1))
        (control,) = await stays.publish(messages("domain_stale", 1))

        assert receipt.outcome is Outcome.PUBLISHED
        assert length(new, "domain_followed") == 1
        assert length(old, "domain_followed") == ends == 0
        assert control.outcome is not Outcome.PUBLISHED or length(new, "domain_stale") == 0


async def _publishes_at(client: RedisStreamPublisherClient, node: LabNode) -> bool:
    before = length(node, "domain_probe")
    await client.publish(messages("domain_probe", 1))
    return length(node, "domain_probe") > before


async def test_jobs_are_added_where_their_lease_was_taken(lab: SentinelLab) -> None:
    """After a failover, jobs go to the new primary; a link that stays at the old one adds none."""
    key = str(EVALUATED)
    reader = RedisStreamReader.from_url(lab.url, [key], group=GROUP, instance="one")
    adder = BullMQJobAdder.from_url(lab.url, group=GROUP, beside_streams=True)
    stays = BullMQJobAdder.from_url(lab.primary().url, group=GROUP, beside_streams=True)
    client = connect(lab.url)
    before = await reader.take(key)
    for idle in (adder, stays):
        await idle.fence(key, before, ["valuation"])
    await asyncio.to_thread(lab.wait_ok)
    await replace(lab, "planned")
    await until(lambda: _has_left(client, lab))

    await client.xadd(key, {"data": message(evaluated())})
    lease = await reader.take(key)
    with pytest.raises((LeaseLostError, ServerUnavailableError), match=r"another server|READONLY|connection"):
        await stays.fence(key, lease, ["valuation"])
    epoch, _ = await adder.fence(key, lease, ["valuation"])
    (read,) = (await reader.turn(key, lease, "new", after=lease.last_delivered)).deliveries
    await adder.add(key, [RoutedEntry(read, (Job("valuation", "priced", "job", b"{}"),))], epoch)
    await reader.turn(key, lease, "renew", [read.entry_id])

    assert await pending(client, key) == 0
    assert await client.lrange("bull:valuation:wait", 0, -1) == [b"job"]
    for one in (reader, adder, stays):
        await one.close()
    await client.aclose()


async def _has_left(client: Any, lab: SentinelLab) -> bool:
    known: Any = await client.info("server")
    return bool(known["tcp_port"] == lab.primary().address.port)


async def pending(client: Any, key: str) -> int:
    """Return how many entries of the group are pending."""
    summary: Any = await client.xpending(key, GROUP)
    return int(summary["pending"])


def type_words(url: str, *words: str) -> Result:
    """Run `domainstream` with these words and the server in the environment."""
    return CliRunner().invoke(cli, words, env={"REDIS_URL": url})


COMMANDS = [
    ["streams", "ls"],
    ["streams", "tail", str(EVALUATED)],
    ["streams", "info", str(EVALUATED)],
    ["groups"],
    ["lag"],
    ["pending"],
    ["queues"],
    ["doctor"],
    ["dead-letters", "ls"],
    ["trace", "opt-1"],
    ["jobs", "ls", "valuation"],
]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
async def test_every_command_takes_the_url_of_sentinels(steady: SentinelLab, words: list[str]) -> None:
    """`REDIS_URL` may name sentinels for each command that works on a server."""
    async with RedisStreamPublisherClient.from_url(steady.url) as client:
        await client.publish(messages(str(EVALUATED), 1))
    single = await asyncio.to_thread(type_words, steady.primary().url, *words)

    result = await asyncio.to_thread(type_words, steady.url, *words)

    assert result.exit_code == single.exit_code, result.output
    assert result.exit_code != 2, result.output
    assert "Traceback" not in result.output


def test_doctor_reports_what_a_failover_would_lose(steady: SentinelLab) -> None:
    """On a primary with a replica, the lag is named, and the setting that bounds the loss."""
    result = type_words(steady.url, "doctor", "--json")

    (found,) = [one for line in result.stdout.splitlines() if (one := json.loads(line))["check"] == "replication"]
    assert found["status"] == "warning"
    assert found["words"].startswith("1 replica; a failover now loses ")
    host, port = steady.primary().address
    assert found["mend"] == f"redis-cli -h {host} -p {port} CONFIG SET min-replicas-to-write 1"


async def test_subscriber_and_worker_run_behind_sentinels(steady: SentinelLab) -> None:
    """An event goes from a publisher over a subscriber to a handler, each with the URL of the sentinels."""
    await publish_until_handled(steady.url)
