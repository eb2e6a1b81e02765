"""A subscriber in its own process."""

import asyncio
import signal
from dataclasses import dataclass
from datetime import timedelta

from faults.children.failpoint import Failpoint, arm
from faults.ledger import LOST, STOPPED, Ledger
from support.consuming import CALCULATED, EVALUATED, GROUP

from domainstream.queue import JobSettings
from domainstream.stream import Loss, ReaderSettings
from domainstream.subscriber import (
    RedisBullMQStreamSubscriber,
    SubscriberSettings,
    Subscriptions,
    create_multiple_handlers,
    to_queue,
)

QUEUES = ("valuation", "billing")
JOB = "price-stay"


@dataclass(frozen=True, kw_only=True)
class SubscriberOrder:
    """The options of a subscriber process."""

    url: str
    """The server, or a proxy in front of it."""

    ledger: Ledger
    """Where it records losses, and how much it has forwarded when it ends gracefully."""

    consumer: str = "one"
    """Its name in the group."""

    queue_url: str | None = None
    """The queues' server, for forwarding in steps."""

    max_entries: int = 100
    """What it aims to read at a time."""

    claim_after: float = 30.0
    """Seconds until an abandoned entry is reclaimed."""

    delivery_limit: int = 1_000
    """How often an entry may be delivered; high, because it is not what these tests test."""

    forgetful: bool = False
    """Whether queues forget a job as soon as it is done, so that ids do not reject repeats."""

    failpoint: tuple[Failpoint, int] | None = None
    """Where it dies, and at which visit."""


def run_subscriber(order: SubscriberOrder) -> None:
    """Run until killed, or until SIGTERM."""
    asyncio.run(_run(order))


def subscriptions(*, forgetful: bool = False) -> Subscriptions:
    """Send both channels to both queues."""
    # Few attempts, because tests wait until poison has failed permanently.
    settings = JobSettings(attempts=3, keep_completed_count=1 if forgetful else 1_000_000)
    handlers = [to_queue(queue, job=JOB, settings=settings) for queue in QUEUES]
    return create_multiple_handlers({EVALUATED: handlers, CALCULATED: handlers})


def subscriber_of(order: SubscriberOrder) -> RedisBullMQStreamSubscriber:
    """Return the subscriber that an order describes."""

    def record(loss: Loss) -> None:
        order.ledger.note(LOST, f"{loss.channel} {loss.count} {loss.after} {loss.before}")

    reading = ReaderSettings(
        max_entries=order.max_entries,
        claim_after=timedelta(seconds=order.claim_after),
        block=timedelta(milliseconds=500),
    )
    settings = SubscriberSettings(
        reading=reading, delivery_limit=order.delivery_limit, queue_url=order.queue_url, on_loss=record
    )
    return RedisBullMQStreamSubscriber.from_url(
        order.url,
        group=GROUP,
        subscriptions=subscriptions(forgetful=order.forgetful),
        consumer=order.consumer,
        settings=settings,
    )


async def _run(order: SubscriberOrder) -> None:
    subscriber = subscriber_of(order)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, subscriber.stop)
    if order.failpoint:
        arm(subscriber, *order.failpoint)
    async with subscriber:
        await subscriber.run()
    order.ledger.note(STOPPED, f"{order.consumer} {subscriber.stats.forwarded}")
