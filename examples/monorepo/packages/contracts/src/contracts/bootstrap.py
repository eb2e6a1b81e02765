"""Runs the subscriber: from all streams to the queues. `REDIS_URL=redis://localhost python -m contracts.bootstrap`."""

import asyncio
import os

from contracts.subscriptions import subscriptions
from domainstream.subscriber import RedisBullMQStreamSubscriber


async def run(url: str) -> None:
    """Deliver events until cancelled. Several of these may run: they share the group."""
    async with RedisBullMQStreamSubscriber.from_url(
        url, group="domain-events", subscriptions=subscriptions
    ) as subscriber:
        await subscriber.run()


if __name__ == "__main__":
    asyncio.run(run(os.environ["REDIS_URL"]))
