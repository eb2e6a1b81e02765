"""A subscriber in its own process."""

import asyncio
import signal
from dataclasses import dataclass
from datetime import timedelta

from faults.children.failpoint import Failpoint, arm
from faults.children.protection import Protection, disarm
from faults.ledger import LOST, STOPPED, Ledger
from support.consuming import CALCULATED, EVALUATED, GROUP

from domainstream.queue import JobSettings
from domainstream.queue.settings import OnFailure
from domainstream.stream import Loss, ReaderSettings
from domainstream.subscriber import (
    AGGREGATE,
    RedisBullMQStreamSubscriber,
    SubscriberSettings,
    Subscriptions,
    create_multiple_handlers,
    to_queue,
)

QUEUES = ("valuation", "accounting")
"""Queues whose keys lie on two nodes of a cluster of three."""

JOB = "price-stay"

ATTEMPTS = 3
"""How often a job is tried: few, because tests wait until poison has failed permanently."""


@dataclass(frozen=True, kw_only=True)
class SubscriberOrder:
    """The options of a subscriber process."""

    url: str
    """The server, or a proxy in front of it."""

    ledger: Ledger
    """Where it records losses, and how much it has forwarded when it ends gracefully."""

    consumer: str = "one"
    """What people know it by."""

    prefix: str = ""
    """What the streams' keys begin with."""

    queue_url: str | None = None
    """The queues' server; None for that of the streams."""

    max_entries: int = 100
    """What it aims to read at a time."""

    lease: float = 0.5
    """Seconds that others leave a channel to it unless it renews its lease; few, because it dies often."""

    claim_after: float = 30.0
    """Seconds until an entry that was refused is tried again, or one that is another consumer's is claimed."""

    delivery_limit: int = 1_000
    """How often an entry may be delivered; high, because it is not what these tests test."""

    forgetful: bool = False
    """Whether queues forget a job as soon as it is done, so that ids do not reject repeats."""

    keyed: bool = False
    """Whether events go to one queue, with few attempts and short pauses between them."""

    on_failure: OnFailure | None = None
    """What becomes of jobs behind one that has failed, if jobs of one aggregate are handled in order; else None."""

    accept_eviction: bool = False
    """Whether it runs without looking at the servers' settings."""

    failpoint: tuple[Failpoint, int] | None = None
    """Where it dies, and at which visit."""

    sleeps: bool = False
    """Whether it suspends itself there instead."""

    without: Protection | None = None
    """What it does not do, in control runs."""


def run_subscriber(order: SubscriberOrder) -> None:
    """Run until killed, or until SIGTERM."""
    asyncio.run(_run(order))


def subscriptions(*, forgetful: bool = False) -> Subscriptions:
    """Send both channels to both queues."""
    settings = JobSettings(attempts=ATTEMPTS, keep_completed_count=1 if forgetful else 1_000_000)
    handlers = [to_queue(queue, job=JOB, settings=settings) for queue in QUEUES]
    return create_multiple_handlers({EVALUATED: handlers, CALCULATED: handlers})


def keyed_subscriptions(on_failure: OnFailure | None, *, forgetful: bool = False) -> Subscriptions:
    """Send both channels to the second queue."""
    backoff, kept = timedelta(milliseconds=20), 1 if forgetful else 1_000_000
    settings = JobSettings(attempts=ATTEMPTS, backoff=backoff, jitter=0, keep_completed_count=kept)
    order_by = AGGREGATE if on_failure else None
    handler = to_queue(QUEUES[1], job=JOB, settings=settings, order_by=order_by, on_failure=on_failure or "hold")
    return create_multiple_handlers({EVALUATED: [handler], CALCULATED: [handler]})


def subscriber_of(order: SubscriberOrder) -> RedisBullMQStreamSubscriber:
    """Return the subscriber that an order describes."""

    def record(loss: Loss) -> None:
        order.ledger.note(LOST, f"{loss.channel} {loss.count} {loss.after} {loss.before}")

    reading = ReaderSettings(
        max_entries=order.max_entries,
        claim_after=timedelta(seconds=order.claim_after),
        lease=timedelta(seconds=order.lease),
    )
    settings = SubscriberSettings(
        reading=reading,
        delivery_limit=order.delivery_limit,
        queue_url=order.queue_url,
        accept_eviction=order.accept_eviction,
        on_loss=record,
    )
    chosen = subscriptions(forgetful=order.forgetful)
    if order.keyed:
        chosen = keyed_subscriptions(order.on_failure, forgetful=order.forgetful)
    return RedisBullMQStreamSubscriber.from_url(
        order.url,
        group=GROUP,
        subscriptions=chosen,
        consumer=order.consumer,
        prefix=order.prefix,
        settings=settings,
    )


async def _run(order: SubscriberOrder) -> None:
    subscriber = subscriber_of(order)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, subscriber.stop)
    if order.failpoint:
        arm(subscriber, *order.failpoint, sleeps=order.sleeps)
    if order.without:
        disarm(subscriber, order.without)
    async with subscriber:
        await subscriber.run()
    order.ledger.note(STOPPED, f"{order.consumer} {subscriber.stats.forwarded}")
