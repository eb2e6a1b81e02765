"""The servers of a run: one that is found or started, or a lab of several whose primary is killed in the middle."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple

from domainstream.errors import ServerError, ServerNotFoundError
from domainstream.redis.keys import stream_key
from domainstream.redis.topology import TopologyKind
from domainstream.testing import find_server, server_binaries
from domainstream.testing.cluster_lab import ClusterLab
from domainstream.testing.sentinel_lab import SentinelLab
from domainstream.testing.server_lab import LabNode
from domainstream.tools.demo.tally import FailoverOutcome

_NOT_OURS: Final = ("explicit URL", "REDIS_URL")
STAYS: Final = "domain_coding_medical_stay_created"
"""The channel in which a stay's way through the services begins."""

_NO_PROGRAM: Final = (
    "Several servers need a Redis or Valkey that the demo can start. Run: pip install 'domainstream[demo]'"
)


class Failover:
    """Kills a primary in the middle of a run, and notes who takes over and when its events are published again."""

    def __init__(self, primary_of: Callable[[str], LabNode], *, after: int, comes_back: bool = False) -> None:
        """Kill the primary that has the stream of the medical stays once `after` events are published.

        `primary_of` returns who has the stream of a channel. It `comes_back` as a replica if its successor has no other
        one: publishers wait until a replica has what they write.
        """
        self._primary_of = primary_of
        self._after = after
        self._comes_back = comes_back
        self._killed: LabNode | None = None
        self._killed_at = 0.0
        self._published = 0
        self._successor: LabNode | None = None
        self._took_over_s = 0.0
        self._channels: list[str] = []
        self._published_then = 0
        self._published_again_s: float | None = None

    @property
    def note(self) -> str:
        """What has happened so far, in a sentence; empty before the kill."""
        if self._killed is None:
            return ""
        killed = f"The primary at {self._killed.address} was killed after {self._published:,} events."
        if self._successor is None:
            return f"{killed} Waiting for another one ..."
        return f"{killed} {self._successor.address} took over after {self._took_over_s:.1f} s."

    @property
    def outcome(self) -> FailoverOutcome | None:
        """What has happened; None until a server has taken over."""
        if self._killed is None or self._successor is None:
            return None
        return FailoverOutcome(
            killed=str(self._killed.address),
            after_published=self._published,
            successor=str(self._successor.address),
            took_over_s=round(self._took_over_s, 1),
            published_again_s=None if self._published_again_s is None else round(self._published_again_s, 1),
        )

    def proceed(self, published: Counter[str]) -> None:
        """Kill the primary if it is time, or look what has become of that; `published` counts events by channel.

        Asks servers of this machine, which takes milliseconds.
        """
        seconds = time.monotonic() - self._killed_at
        if self._killed is None:
            if published.total() >= self._after:
                self._killed = self._primary_of(STAYS)
                self._channels = [channel for channel in published if self._primary_of(channel) is self._killed]
                self._killed.kill()
                self._killed_at, self._published = time.monotonic(), published.total()
        elif self._successor is None:
            with suppress(LookupError, ServerError):
                primary = self._primary_of(STAYS)
                if primary is not self._killed:
                    self._successor, self._took_over_s = primary, seconds
                    self._published_then = self._of_killed(published)
                    if self._comes_back:
                        self._killed.start()
        elif self._published_again_s is None and self._of_killed(published) > self._published_then:
            self._published_again_s = seconds

    def _of_killed(self, published: Counter[str]) -> int:
        """Return how many events the channels of the primary that was killed have."""
        return sum(published[channel] for channel in self._channels)


class DemoServers(NamedTuple):
    """The servers of one run."""

    url: str
    """Where they are."""

    origin: str
    """How they were found, or how many there are."""

    are_ours: bool
    """Whether they end with the run, so that its keys need not be deleted."""

    failover: Failover | None = None
    """Kills a primary; None leaves the server alone."""


@contextmanager
def demo_servers(
    kind: TopologyKind, redis_url: str | None, *, folder: Path, run: str, events: int
) -> Iterator[DemoServers]:
    """Find or start the servers for a `with` block; those that were started are stopped at its end.

    Several servers keep their files in `folder`, and a primary, on a cluster one with a stream of the `run`, is killed
    when its `events` medical stays are half done. Raises `ServerNotFoundError`.
    """
    if kind is TopologyKind.SINGLE:
        with find_server(redis_url) as found:
            yield DemoServers(found.url, found.origin, are_ours=found.origin not in _NOT_OURS)
        return
    binary = next(iter(server_binaries()), None)
    if binary is None:
        raise ServerNotFoundError(_NO_PROGRAM)
    half = 2 * events  # a stay leads to about five events
    if kind is TopologyKind.SENTINEL:
        with SentinelLab(binary=binary.path, within=folder) as lab:
            origin = f"{binary.kind}: a primary, 2 replicas and 3 sentinels"
            failover = Failover(lambda _: lab.primary(), after=half)
            yield DemoServers(lab.url, origin, are_ours=True, failover=failover)
        return
    with ClusterLab(binary=binary.path, within=folder) as cluster:
        origin = f"{binary.kind}: 3 primaries with a replica each"
        failover = Failover(
            lambda channel: cluster.primary_of(stream_key(channel, f"{run}:")), after=half, comes_back=True
        )
        yield DemoServers(cluster.url, origin, are_ours=True, failover=failover)
