"""Opens the parts of a process from its environment: the one place that names concrete classes.

Everything else takes ports. A process that needs other settings calls the classes' own constructors.
"""

import os
from typing import Final

from domainstream.errors import ServerNotFoundError
from domainstream.publisher import RedisStreamPublisherClient, Retention
from domainstream.subscriber import RedisBullMQStreamSubscriber, SubscriberSettings, Subscriptions
from domainstream.worker import EventConsumer, EventWorker, WorkerSettings

URL_VARIABLE: Final = "REDIS_URL"
PREFIX_VARIABLE: Final = "DOMAINSTREAM_PREFIX"
"""What stands before each channel's value in its stream's key; nothing by default. The same in all services."""

CONSUMER_VARIABLE: Final = "DOMAINSTREAM_CONSUMER"
"""This subscriber's name in its consumer group."""

SUBSCRIBER_SETTINGS: Final = SubscriberSettings()
WORKER_SETTINGS: Final = WorkerSettings()


def open_publisher(url: str | None = None, *, retention: Retention | None = None) -> RedisStreamPublisherClient:
    """Return a publisher client for `url`, else `REDIS_URL`; use it in `async with`.

    Raises `ServerNotFoundError` when neither is given.
    """
    return RedisStreamPublisherClient.from_url(_url(url), prefix=_prefix(), retention=retention)


def open_subscriber(
    subscriptions: Subscriptions,
    *,
    group: str = "domain-events",
    url: str | None = None,
    settings: SubscriberSettings = SUBSCRIBER_SETTINGS,
) -> RedisBullMQStreamSubscriber:
    """Return a subscriber for `url`, else `REDIS_URL`; use it in `async with` and await its `run()`.

    `DOMAINSTREAM_CONSUMER` names this instance, by default after its host: instances on one host need a name each.
    Raises `ServerNotFoundError` when neither URL is given.
    """
    return RedisBullMQStreamSubscriber.from_url(
        _url(url),
        group=group,
        subscriptions=subscriptions,
        consumer=os.environ.get(CONSUMER_VARIABLE),
        prefix=_prefix(),
        settings=settings,
    )


def open_worker(
    consumer: EventConsumer,
    *,
    url: str | None = None,
    concurrency: int = 50,
    settings: WorkerSettings = WORKER_SETTINGS,
) -> EventWorker:
    """Return a worker of the consumer's queue for `url`, else `REDIS_URL`; await its `run()`.

    Raises `ServerNotFoundError` when neither is given.
    """
    return EventWorker.from_url(_url(url), consumer, concurrency=concurrency, settings=settings)


def _url(explicit: str | None) -> str:
    url = explicit or os.environ.get(URL_VARIABLE)
    if not url:
        raise ServerNotFoundError(f"no server is named; type: export {URL_VARIABLE}=redis://localhost:6379")
    return url


def _prefix() -> str:
    return os.environ.get(PREFIX_VARIABLE, "")
