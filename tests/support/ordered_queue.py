"""What all queues of tests have whose jobs are handled in order: a place, a rule, and a subscriber that tends them."""

from typing import Any, Final

from redis.asyncio import Redis
from support.consuming import BullJobs

from domainstream.queue.bullmq.gate_keeper import GateKeeper
from domainstream.queue.port import NewlyHeld
from domainstream.queue.settings import OnFailure
from domainstream.redis.call_lane import CallLanes

QUEUE: Final = "valuation"


class OrderedQueue:
    """The queue `valuation` of a test. How jobs are added and handled is for its subclasses to say."""

    def __init__(self, url: str, redis: Redis, bull_prefix: str, *, on_failure: OnFailure = "hold") -> None:
        """Work on the queue at `url`; `bull_prefix` begins all keys of BullMQ."""
        self.url = url
        self.redis = redis
        self.bull_prefix = bull_prefix
        self.jobs = BullJobs(redis, bull_prefix, QUEUE)
        self.on_failure = on_failure
        """What becomes of the jobs behind one that has failed permanently."""
        self.rules: dict[str, OnFailure] = {QUEUE: on_failure}
        self.reported: list[NewlyHeld] = []
        """The keys that were found to be held, as a subscriber logs them."""

    def key(self, name: str) -> str:
        """Return a key of the queue."""
        return f"{self.jobs.key}:{name}"

    async def tend(self) -> None:
        """Look after what was removed, or has failed and is skipped, as a subscriber does every second."""
        lanes = CallLanes(self.url)
        try:
            keeper = GateKeeper(lanes, self.rules, bull_prefix=self.bull_prefix, on_held=self.reported.append)
            await keeper.run_once()
        finally:
            await lanes.close()

    async def order_keys(self) -> set[str]:
        """Return the names of all keys that keep the order, as `order:rule`."""
        found: Any = await self.redis.keys(self.key("order:*"))
        return {key.decode().removeprefix(self.key("")) for key in found}
