"""Runs the subscriber, which turns events into jobs: `REDIS_URL=redis://localhost python -m contracts.bootstrap`."""

import logging

from contracts.process import start, stop_at_signals
from contracts.retention import RETENTION
from contracts.subscriptions import subscriptions
from domainstream.bootstrap import open_subscriber
from domainstream.subscriber import SubscriberSettings


async def run() -> None:
    """Deliver events until SIGTERM or Ctrl-C. Several processes may run; they share the consumer group."""
    async with open_subscriber(subscriptions, settings=SubscriberSettings(retention=RETENTION)) as subscriber:
        stop_at_signals(subscriber.stop)
        await subscriber.run()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    start(run())
