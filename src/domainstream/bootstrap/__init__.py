"""Opens a service's publisher, subscriber, worker or relay with the settings in its environment variables.

A shortcut for the common case. Use the `from_url` constructors of the classes for other settings. The relay's is in
`domainstream.bootstrap.relay`, because it needs the extra `outbox`.
"""

import os
from typing import Final

from domainstream.errors import ServerNotFoundError
from domainstream.publisher import RedisStreamPublisherClient, Retention
from domainstream.subscriber import RedisBullMQStreamSubscriber, SubscriberSettings, Subscriptions
from domainstream.worker import EventConsumer, EventWorker, WorkerSettings

URL_VARIABLE: Final = "REDIS_URL"
"""The variable with the URL of the Redis or Valkey server."""

PREFIX_VARIABLE: Final = "DOMAINSTREAM_PREFIX"
"""The variable with the prefix of every stream's key; empty by default. It must be the same in all services."""

CONSUMER_VARIABLE: Final = "DOMAINSTREAM_CONSUMER"
"""The variable with this subscriber's name in its consumer group."""

DATABASE_VARIABLE: Final = "DATABASE_URL"
"""The variable with the URL of the database that holds the service's outbox."""

SUBSCRIBER_SETTINGS: Final = SubscriberSettings()
WORKER_SETTINGS: Final = WorkerSettings()


def open_publisher(url: str | None = None, *, retention: Retention | None = None) -> RedisStreamPublisherClient:
    """Return a publisher client for `url`, which defaults to `REDIS_URL`; use it in `async with`.

    Raises `ServerNotFoundError` if neither is set.
    """
    return RedisStreamPublisherClient.from_url(server_url(url), prefix=stream_prefix(), retention=retention)


def open_subscriber(
    subscriptions: Subscriptions,
    *,
    group: str = "domain-events",
    url: str | None = None,
    settings: SubscriberSettings = SUBSCRIBER_SETTINGS,
) -> RedisBullMQStreamSubscriber:
    """Return a subscriber for `url`, which defaults to `REDIS_URL`; use it in `async with` and await its `run()`.

    `DOMAINSTREAM_CONSUMER` is what people call this instance; it defaults to the host name.
    Raises `ServerNotFoundError` if neither `url` nor `REDIS_URL` is set.
    """
    return RedisBullMQStreamSubscriber.from_url(
        server_url(url),
        group=group,
        subscriptions=subscriptions,
        consumer=os.environ.get(CONSUMER_VARIABLE),
        prefix=stream_prefix(),
        settings=settings,
    )


def open_worker(
    consumer: EventConsumer,
    *,
    url: str | None = None,
    concurrency: int = 50,
    settings: WorkerSettings = WORKER_SETTINGS,
) -> EventWorker:
    """Return a worker of the consumer's queue for `url`, which defaults to `REDIS_URL`; await its `run()`.

    Raises `ServerNotFoundError` if neither is set.
    """
    return EventWorker.from_url(server_url(url), consumer, concurrency=concurrency, settings=settings)


def server_url(explicit: str | None) -> str:
    """Return `explicit`, or else `REDIS_URL`; raise `ServerNotFoundError` if neither is set."""
    url = explicit or os.environ.get(URL_VARIABLE)
    if not url:
        raise ServerNotFoundError(f"no server is configured; run: export {URL_VARIABLE}=redis://localhost:6379")
    return url


def stream_prefix() -> str:
    """Return the prefix of all stream keys."""
    return os.environ.get(PREFIX_VARIABLE, "")
