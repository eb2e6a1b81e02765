"""When a loop makes its next round trip."""

import asyncio
from typing import Any, cast

from support.working import held

from domainstream.redis.link import RedisLink
from domainstream.retrying import LoggedBackoff
from domainstream.worker.bullmq.job import progress_update
from domainstream.worker.bullmq.loops import RoundTripLoop
from domainstream.worker.bullmq.round_trip import RoundTripCodec
from domainstream.worker.bullmq.runner import JobRunner
from domainstream.worker.bullmq.tracker import JobTracker
from domainstream.worker.settings import WorkerSettings


class LimitedServer:
    """A link to a server that hands out no jobs and answers with a new rate limit each time."""

    def __init__(self, *limits_ms: int) -> None:
        self.times: list[float] = []
        """When it was called."""
        self.called = asyncio.Event()
        """Set when it is called for the first time."""
        self.called_without_limit = asyncio.Event()
        """Set when it is called after the last of the limits was given."""
        self._limits_ms = list(limits_ms)

    async def run(self, _script: object, _calls: object) -> list[Any]:
        """Answer one round trip that reports at most one update."""
        self.times.append(asyncio.get_running_loop().time())
        self.called.set()
        if not self._limits_ms:
            self.called_without_limit.set()
            await asyncio.Event().wait()
        return [[[0] * (len(self.times) - 1), [], self._limits_ms.pop(0), 0, b""]]

    async def close(self) -> None:
        """Close nothing."""


async def test_latest_rate_limit_counts() -> None:
    """A later limit replaces an earlier one; a wake-up at the earlier time would fetch nothing and be the last."""
    tracker, server = JobTracker("w", 1), LimitedServer(10, 100)
    loop = RoundTripLoop(
        "q",
        cast("RedisLink", server),
        tracker,
        RoundTripCodec("bull:q:", WorkerSettings()),
        cast("JobRunner", None),
        LoggedBackoff(lambda _pause, _error: None),
    )
    running = asyncio.create_task(loop.run())
    async with asyncio.timeout(1):
        await server.called.wait()
        tracker.report(progress_update(held("t"), 1))
        await server.called_without_limit.wait()
    running.cancel()
    _, limited, fetching = server.times
    assert fetching - limited > 0.09
