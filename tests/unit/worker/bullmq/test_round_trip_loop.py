"""When a pump looks for jobs again."""

import asyncio
from typing import cast

from domainstream.redis.link import RedisLink
from domainstream.worker.bullmq.round_trip import RoundTripCodec, RoundTripReply
from domainstream.worker.bullmq.round_trip_loop import RoundTripLoop
from domainstream.worker.bullmq.runner import JobRunner
from domainstream.worker.bullmq.tracker import JobTracker
from domainstream.worker.patience import LoggedBackoff


async def test_the_latest_word_on_the_limit_counts() -> None:
    """A limit told later puts off the next look: at the earlier time nothing may be asked for, nor ever after it."""
    tracker = JobTracker("w", 1)
    nothing = cast("object", None)
    pump = RoundTripLoop(
        cast("RedisLink", nothing),
        tracker,
        cast("RoundTripCodec", nothing),
        cast("JobRunner", nothing),
        LoggedBackoff("q"),
    )
    now = asyncio.get_running_loop().time
    started = now()
    for limited_for in (0.01, 0.1):
        pump._set_alarms(RoundTripReply([], [], limited_for, 0, ""))
    await tracker.changed.wait()
    assert now() - started > 0.09
