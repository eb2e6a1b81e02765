"""The demo kills a primary once, and notes what follows."""

from typing import cast

import pytest

from domainstream.errors import ServerUnavailableError
from domainstream.redis.topology import Address
from domainstream.testing.server_lab import LabNode
from domainstream.tools.demo.servers import Failover


class Node:
    """A server that only counts how often it was killed."""

    def __init__(self, port: int) -> None:
        self.address = Address("127.0.0.1", port)
        self.kills = 0

    def kill(self) -> None:
        """Count it."""
        self.kills += 1


class Servers:
    """Two servers, of which one is the primary, or none while `trouble` is raised."""

    def __init__(self) -> None:
        self.first, self.second = Node(7000), Node(7001)
        self.present = self.first
        self.trouble: Exception | None = None

    def primary(self) -> LabNode:
        """Return the primary."""
        if self.trouble:
            raise self.trouble
        return cast("LabNode", self.present)


@pytest.fixture
def servers() -> Servers:
    """The servers of this test."""
    return Servers()


@pytest.fixture
def failover(servers: Servers) -> Failover:
    """A failover after a hundred events."""
    return Failover(servers.primary, after=100)


def test_primary_is_killed_once_when_enough_is_published(servers: Servers, failover: Failover) -> None:
    """It lives until the number of events is reached, and is killed once."""
    failover.proceed(99)
    assert (servers.first.kills, failover.note) == (0, "")
    failover.proceed(120)
    failover.proceed(120)
    assert servers.first.kills == 1
    assert failover.note == "The primary at 127.0.0.1:7000 was killed after 120 events. Waiting for another one ..."
    assert failover.outcome is None


@pytest.mark.parametrize("trouble", [LookupError("no node has it"), ServerUnavailableError("no answer")], ids=repr)
def test_servers_without_a_primary_are_waited_for(servers: Servers, failover: Failover, trouble: Exception) -> None:
    """While nobody knows another primary, there is no outcome."""
    failover.proceed(100)
    servers.trouble = trouble
    failover.proceed(100)
    assert failover.outcome is None


def test_outcome_names_who_took_over(servers: Servers, failover: Failover) -> None:
    """The outcome has both servers, and the time of the next event once there is one."""
    failover.proceed(100)
    servers.present = servers.second
    failover.proceed(110)  # these came from before the kill
    before = failover.outcome
    failover.proceed(111)
    outcome = failover.outcome
    assert before is not None
    assert outcome is not None
    assert (outcome.killed, outcome.after_published, outcome.successor) == ("127.0.0.1:7000", 100, "127.0.0.1:7001")
    assert before.published_again_s is None
    assert outcome.published_again_s is not None
    assert outcome.published_again_s >= outcome.took_over_s >= 0
    assert "127.0.0.1:7001 took over after" in failover.note
    assert servers.second.kills == 0
