"""TLS, users and passwords with clusters and sentinels: each user has the commands that we name, and no others."""

import asyncio
from collections.abc import Iterator, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import quote

import pytest
from support.access_rules import Place, live, rules
from support.programs import publish_until_handled
from support.publishing import messages, outcomes
from support.tls import OPENSSL, Certificate, TlsNode, has_tls

from domainstream import Outcome, PublisherSettings, RedisStreamPublisherClient, RetryPolicy
from domainstream.publisher import BatchIdentity, RedisBatchPublisher
from domainstream.redis.nodes import RedisNodes
from domainstream.redis.topology import TopologyKind
from domainstream.stream.inspection.commands import PUBLISHER, needed_by
from domainstream.testing import ServerBinary, server_binaries
from domainstream.testing.cluster_lab import ClusterLab
from domainstream.testing.sentinel_lab import SentinelLab
from domainstream.testing.server_lab import LabNode

TESTS: Final = Path(__file__).parents[2]
PASSWORD: Final = "p/a:s@s%w#rd?"
LISTENER: Final = (
    *("client|setname", "ping", "subscribe"),
    *("sentinel|get-master-addr-by-name", "sentinel|master", "sentinel|replicas"),
)
"""What clients ask sentinels."""

LIMIT: Final = timedelta(seconds=4)
ONE_ATTEMPT: Final = RetryPolicy(deadline=LIMIT, attempt_timeout=LIMIT, first_delay=3 * LIMIT, longest_delay=3 * LIMIT)

pytestmark = pytest.mark.xdist_group("cluster")
TLS, PLAIN = "TLS", "no TLS"
KINDS: Final = [(binary, security) for binary in server_binaries() for security in (TLS, PLAIN)]


@pytest.fixture(scope="module", params=KINDS, ids=lambda kind: f"{kind[0].kind}, {kind[1]}")
def security(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[ServerBinary, Certificate | None]:
    """A server program, and a certificate where it is to use TLS."""
    binary, wanted = request.param
    if wanted == PLAIN:
        return binary, None
    if OPENSSL is None:
        pytest.skip("certificates are made by openssl, which is not installed")
    if not has_tls(binary):
        pytest.skip(f"{binary.kind} was built without TLS")
    return binary, Certificate.make(tmp_path_factory.mktemp("certificate"))


def add_user(nodes: Sequence[LabNode], name: str, commands: Sequence[str]) -> None:
    """Give a user all keys, and these commands alone, at each node."""
    for node in nodes:
        rights = (f"+{command}" for command in commands)
        node.command("ACL", "SETUSER", name, "reset", "on", f">{PASSWORD}", "~*", "&*", "-@all", *rights)


def secured(url: str, certificate: Certificate | None, user: str = "publisher", **more: str) -> str:
    """Return a URL with a user, and with TLS where there is a certificate."""
    scheme, _, rest = url.partition("://")
    scheme = scheme.replace("redis", "rediss") if certificate else scheme
    options = {**({"ssl_ca_certs": str(certificate.path)} if certificate else {}), **more}
    asked = "&".join(f"{name}={quote(value, safe='')}" for name, value in options.items())
    return f"{scheme}://{user}:{quote(PASSWORD, safe='')}@{rest}" + (f"?{asked}" if asked else "")


@pytest.fixture(scope="module")
def cluster(security: tuple[ServerBinary, Certificate | None]) -> Iterator[tuple[ClusterLab, str]]:
    """A primary and its replica, and a URL with a publisher's user."""
    binary, certificate = security
    lab = ClusterLab(1, 1, binary=binary.path, node_timeout=timedelta(seconds=60))
    if certificate:
        lab.make_node = partial(TlsNode, certificate=certificate)
    with lab:
        lab.nodes[0].wait_for_replicas()
        add_user(lab.nodes, "publisher", needed_by(PUBLISHER, kind=TopologyKind.CLUSTER))
        add_user(lab.nodes, "everyone", ["@all"])
        yield lab, secured(lab.url, certificate)


@pytest.fixture
def sentinels(security: tuple[ServerBinary, Certificate | None]) -> Iterator[tuple[SentinelLab, str]]:
    """A primary, a replica and three sentinels, and a URL with users for both."""
    binary, certificate = security
    lab = SentinelLab(1, 3, binary=binary.path, down_after=timedelta(seconds=2))
    if certificate:
        lab.make_node = partial(TlsNode, certificate=certificate)
    with lab:
        lab.primary().wait_for_replicas()
        add_user(lab.servers, "publisher", needed_by(PUBLISHER, kind=TopologyKind.SENTINEL))
        add_user(lab.servers, "everyone", ["@all"])
        add_user(lab.sentinels, "listener", LISTENER)
        yield lab, secured(lab.url, certificate, sentinel_username="listener", sentinel_password=PASSWORD)


async def test_publisher_on_a_cluster(cluster: tuple[ClusterLab, str], stream_prefix: str) -> None:
    """A user with a publisher's commands publishes, waits for replicas, and asks for the health of the nodes."""
    _, url = cluster
    settings = PublisherSettings(url=url, prefix=stream_prefix, confirm="all")
    async with RedisStreamPublisherClient.from_settings(settings) as client:
        assert outcomes(await client.publish(messages("orders", 3))) == {Outcome.PUBLISHED}
        assert (await client.health()).ok


async def test_publisher_behind_sentinels(sentinels: tuple[SentinelLab, str]) -> None:
    """The same behind sentinels, and at the next primary once the first one is dead."""
    lab, url = sentinels
    retry = RetryPolicy(deadline=timedelta(seconds=30))
    async with RedisStreamPublisherClient.from_settings(PublisherSettings(url=url, retry=retry)) as client:
        receipts = await client.publish(messages("orders", 3), confirm="all")
        assert [receipt.confirmed_by for receipt in receipts] == [1] * 3
        assert (await client.health()).ok
        await asyncio.to_thread(lab.primary().kill)
        assert outcomes(await client.publish(messages("orders", 3))) == {Outcome.PUBLISHED}


async def relay_through(url: str, prefix: str) -> None:
    """Do what a relay does, with a batch that is sent twice."""
    publisher = RedisBatchPublisher.from_url(url, prefix=prefix, confirm="all")
    batch, identity = messages("orders", 3), BatchIdentity("abc", 1)
    await publisher.introduce("abc")
    for _ in range(2):
        assert await publisher.send(batch, identity) == {}
    assert await publisher.remembers("abc")
    await publisher.close()


async def test_relay_on_a_cluster(cluster: tuple[ClusterLab, str], stream_prefix: str) -> None:
    """The relay of an outbox needs no more than a publisher."""
    await relay_through(cluster[1], stream_prefix)


async def test_whole_path_on_a_cluster(cluster: tuple[ClusterLab, str]) -> None:
    """An event goes from a publisher over a subscriber to a handler, each as a user with a password."""
    await publish_until_handled(cluster[1].replace("publisher:", "everyone:"))


async def test_relay_and_whole_path_behind_sentinels(sentinels: tuple[SentinelLab, str], stream_prefix: str) -> None:
    """The same for both behind sentinels."""
    _, url = sentinels
    await relay_through(url, stream_prefix)
    await publish_until_handled(url.replace("publisher:", "everyone:"))


async def live_at(nodes: Sequence[LabNode], url: str, kind: TopologyKind, prefix: str) -> None:
    """Let all programs live their whole life, each as a user with its own commands and keys."""
    if url.startswith("rediss"):
        pytest.skip("TLS changes nothing about what users may do")
    bull_prefix = f"bull-{prefix.strip(':')}"
    users = {}
    for program, rights in rules(kind, prefix=prefix, bull_prefix=bull_prefix).items():
        users[program] = f"{prefix.strip(':')}-{program.replace(' ', '-')}"
        for node in nodes:
            node.command("ACL", "SETUSER", users[program], "reset", "on", f">{PASSWORD}", *rights)

    def url_as(user: str) -> str:
        return url.replace("publisher:", f"{user}:")

    async with RedisNodes.open(url_as("everyone")) as admin:
        await live(Place(users, url_as, admin, prefix, bull_prefix, "all"))


@pytest.mark.slow
async def test_whole_life_on_a_cluster(
    cluster: tuple[ClusterLab, str], stream_prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    """With the rights that docs/how-to/run-in-production.md names, every program does all that it ever does."""
    lab, url = cluster
    await live_at(lab.nodes, url, TopologyKind.CLUSTER, stream_prefix)
    assert "wake_ups_missing" not in caplog.text


@pytest.mark.slow
async def test_whole_life_behind_sentinels(
    sentinels: tuple[SentinelLab, str], stream_prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The same behind sentinels."""
    lab, url = sentinels
    await live_at(lab.servers, url, TopologyKind.SENTINEL, stream_prefix)
    assert "wake_ups_missing" not in caplog.text


async def test_wrong_password(cluster: tuple[ClusterLab, str], stream_prefix: str) -> None:
    """A wrong password is an error that says so, and does not repeat it."""
    _, url = cluster
    wrong = url.replace(quote(PASSWORD, safe=""), "guessed")
    async with RedisStreamPublisherClient.from_url(wrong, prefix=stream_prefix, retry=ONE_ATTEMPT) as client:
        (receipt,) = await client.publish(messages("orders", 1))
    assert receipt.outcome is Outcome.REJECTED
    assert "rejected the user or the password" in str(receipt.error)
    assert "guessed" not in str(receipt.error)


async def test_certificate_that_nobody_trusts(cluster: tuple[ClusterLab, str], stream_prefix: str) -> None:
    """A server whose certificate is not trusted gets nothing, and the error says why."""
    _, url = cluster
    if not url.startswith("rediss"):
        pytest.skip("without TLS there is no certificate")
    untrusting = url.partition("?")[0]
    async with RedisStreamPublisherClient.from_url(untrusting, prefix=stream_prefix, retry=ONE_ATTEMPT) as client:
        (receipt,) = await client.publish(messages("orders", 1))
    assert receipt.outcome is Outcome.REJECTED
    assert "certificate verify failed" in str(receipt.error)
