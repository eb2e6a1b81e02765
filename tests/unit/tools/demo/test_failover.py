"""The demo kills a primary once, and notes what follows."""

from collections import Counter
from typing import cast

import pytest

from domainstream.errors import ServerUnavailableError
from domainstream.redis.topology import Address
from domainstream.testing.server_lab import LabNode
from domainstream.tools.demo.servers import STAYS, Failover

OTHER = "domain_other"


class Node:
    """A server that only counts how often it was killed."""

    def __init__(self, port: int) -> None:
        self.address = Address("127.0.0.1", port)
        self.kills = 0

    def kill(self) -> None:
        """Count it."""
        self.kills += 1

    def start(self) -> None:
        """Count it back."""
        self.kills -= 1


class Servers:
    """One server has the channel of the stays, or none while `trouble` is raised; another one has the rest."""

    def __init__(self) -> None:
        self.first, self.second, self.other = Node(7000), Node(7001), Node(7002)
        self.present = self.first
        self.trouble: Exception | None = None

    def primary_of(self, channel: str) -> LabNode:
        """Return who has a channel."""
        if self.trouble:
            raise self.trouble
        return cast("LabNode", self.present if channel == STAYS else self.other)


@pytest.fixture
def servers() -> Servers:
    """The servers of this test."""
    return Servers()


@pytest.fixture
def failover(servers: Servers) -> Failover:
    """A failover after a hundred events."""
    return Failover(servers.primary_of, after=100)


def test_primary_is_killed_once_when_enough_is_published(servers: Servers, failover: Failover) -> None:
    """It lives until the number of events is reached, and is killed once."""
    failover.proceed(Counter({STAYS: 60, OTHER: 39}))
    assert (servers.first.kills, failover.note) == (0, "")
    failover.proceed(Counter({STAYS: 60, OTHER: 60}))
    failover.proceed(Counter({STAYS: 60, OTHER: 60}))
    assert servers.first.kills == 1
    assert failover.note == "The primary at 127.0.0.1:7000 was killed after 120 events. Waiting for another one ..."
    assert failover.outcome is None


@pytest.mark.parametrize("trouble", [LookupError("no node has it"), ServerUnavailableError("no answer")], ids=repr)
def test_servers_without_a_primary_are_waited_for(servers: Servers, failover: Failover, trouble: Exception) -> None:
    """While nobody knows another primary, there is no outcome."""
    failover.proceed(Counter({STAYS: 100}))
    servers.trouble = trouble
    failover.proceed(Counter({STAYS: 100}))
    assert failover.outcome is None


def test_outcome_names_who_took_over(servers: Servers, failover: Failover) -> None:
    """The outcome has both servers, and the time of the next event once there is one."""
    failover.proceed(Counter({STAYS: 100}))
    servers.present = servers.second
    failover.proceed(Counter({STAYS: 110}))  # ten came from before the kill
    failover.proceed(Counter({STAYS: 110, OTHER: 1}))  # another server has it
    before = failover.outcome
    failover.proceed(Counter({STAYS: 111, OTHER: 1}))
    outcome = failover.outcome
    assert before is not None
    assert outcome is not None
    assert (outcome.killed, outcome.after_published, outcome.successor) == ("127.0.0.1:7000", 100, "127.0.0.1:7001")
    assert before.published_again_s is None
    assert outcome.published_again_s is not None
    assert outcome.published_again_s >= outcome.took_over_s >= 0
    assert "127.0.0.1:7001 took over after" in failover.note
    assert servers.second.kills == 0


def test_primary_without_another_replica_comes_back(servers: Servers) -> None:
    """It is started again once its successor has taken over, and not before."""
    failover = Failover(servers.primary_of, after=1, comes_back=True)
    failover.proceed(Counter({STAYS: 1}))
    failover.proceed(Counter({STAYS: 1}))
    assert servers.first.kills == 1
    servers.present = servers.second
    failover.proceed(Counter({STAYS: 1}))
    assert servers.first.kills == 0
