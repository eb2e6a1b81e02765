"""When a pump looks for jobs again."""

import asyncio
from typing import cast

from domainstream.redis.link import RedisLink
from domainstream.worker.bullmq.round_trip import TurnCalls, TurnReply
from domainstream.worker.bullmq.round_trip_loop import Pump
from domainstream.worker.bullmq.runner import RunningJobs
from domainstream.worker.bullmq.tracker import Ledger
from domainstream.worker.patience import Patience


async def test_the_latest_word_on_the_limit_counts() -> None:
    """A limit told later puts off the next look: at the earlier time nothing may be asked for, nor ever after it."""
    ledger = Ledger("w", 1)
    nothing = cast("object", None)
    pump = Pump(
        cast("RedisLink", nothing), ledger, cast("TurnCalls", nothing), cast("RunningJobs", nothing), Patience("q")
    )
    now = asyncio.get_running_loop().time
    started = now()
    for limited_for in (0.01, 0.1):
        pump._set_alarms(TurnReply([], [], limited_for, 0, ""))
    await ledger.bell.wait()
    assert now() - started > 0.09
