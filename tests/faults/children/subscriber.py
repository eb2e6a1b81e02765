"""A subscriber in a process of its own."""

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
    """What a subscriber is told."""

    url: str
    """The server, or a proxy in front of it."""

    ledger: Ledger
    """Where it writes down losses, and how much it has handed over when it ends in order."""

    consumer: str = "one"
    """Its name in the group."""

    queue_url: str | None = None
    """The queues' server, for handing over in steps."""

    max_entries: int = 100
    """What it aims to read at a time."""

    claim_after: float = 30.0
    """Seconds until an entry that was left alone is taken over."""

    delivery_limit: int = 1_000
    """How often an entry may be delivered; far away, since it is not what is tried here."""

    forgetful: bool = False
    """Whether queues forget a job as soon as it is done, so that ids cannot tell a repeat."""

    failpoint: tuple[Failpoint, int] | None = None
    """Where it dies, and at which time it comes there."""


def run_subscriber(order: SubscriberOrder) -> None:
    """Run until killed, or until SIGTERM."""
    asyncio.run(_run(order))


def subscriptions(*, forgetful: bool = False) -> Subscriptions:
    """Send both channels to both queues."""
    settings = JobSettings(keep_completed_count=1 if forgetful else 1_000_000)
    handlers = [to_queue(queue, job=JOB, settings=settings) for queue in QUEUES]
    return create_multiple_handlers({EVALUATED: handlers, CALCULATED: handlers})


def subscriber_of(order: SubscriberOrder) -> RedisBullMQStreamSubscriber:
    """Return the subscriber that an order describes."""

    def write_down(loss: Loss) -> None:
        order.ledger.note(LOST, f"{loss.channel} {loss.count} {loss.after} {loss.before}")

    reading = ReaderSettings(
        max_entries=order.max_entries,
        claim_after=timedelta(seconds=order.claim_after),
        block=timedelta(milliseconds=500),
    )
    settings = SubscriberSettings(
        reading=reading, delivery_limit=order.delivery_limit, queue_url=order.queue_url, on_loss=write_down
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
