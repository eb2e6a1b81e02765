"""The servers of a run: one that is found or started, or a lab of several whose primary is killed in the middle."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from domainstream.errors import ServerError, ServerNotFoundError
from domainstream.redis.topology import TopologyKind
from domainstream.testing import find_server, server_binaries
from domainstream.testing.sentinel_lab import SentinelLab
from domainstream.testing.server_lab import LabNode
from domainstream.tools.demo.tally import FailoverOutcome

_NOT_OURS: Final = ("explicit URL", "REDIS_URL")
_NO_PROGRAM: Final = (
    "Several servers need a Redis or Valkey that the demo can start. Run: pip install 'domainstream[demo]'"
)


class Failover:
    """Kills a primary in the middle of a run, and notes who takes over and when events are published again."""

    def __init__(self, primary: Callable[[], LabNode], *, after: int) -> None:
        """Kill what `primary` returns once `after` events are published."""
        self._primary = primary
        self._after = after
        self._killed: LabNode | None = None
        self._killed_at = 0.0
        self._published = 0
        self._successor: LabNode | None = None
        self._took_over_s = 0.0
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

    def proceed(self, published: int) -> None:
        """Kill the primary if it is time, or look what has become of that; `published` counts events.

        Asks servers of this machine, which takes milliseconds.
        """
        seconds = time.monotonic() - self._killed_at
        if self._killed is None:
            if published >= self._after:
                self._killed = self._primary()
                self._killed.kill()
                self._killed_at, self._published = time.monotonic(), published
        elif self._successor is None:
            primary = self._primary_now()
            if primary is not None and primary is not self._killed:
                self._successor, self._took_over_s, self._published_then = primary, seconds, published
        elif self._published_again_s is None and published > self._published_then:
            self._published_again_s = seconds

    def _primary_now(self) -> LabNode | None:
        try:
            return self._primary()
        except (LookupError, ServerError):
            return None


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
def demo_servers(kind: TopologyKind, redis_url: str | None, *, folder: Path, events: int) -> Iterator[DemoServers]:
    """Find or start the servers for a `with` block; those that were started are stopped at its end.

    Several servers keep their files in `folder`, and their primary is killed when `events` medical stays are half done.
    Raises `ServerNotFoundError`.
    """
    if kind is TopologyKind.SINGLE:
        with find_server(redis_url) as found:
            yield DemoServers(found.url, found.origin, found.origin not in _NOT_OURS)
        return
    binary = next(iter(server_binaries()), None)
    if binary is None:
        raise ServerNotFoundError(_NO_PROGRAM)
    with SentinelLab(binary=binary.path, within=folder) as lab:
        origin = f"{binary.kind}: a primary, 2 replicas and 3 sentinels"
        # A stay leads to about five events.
        yield DemoServers(lab.url, origin, True, Failover(lab.primary, after=2 * events))  # noqa: FBT003 - a field
