"""Where a worker connects, and under which names."""

from base64 import b64encode
from typing import Final

from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.backoff import NoBackoff
from redis.retry import Retry

from domainstream.redis.connection import connect
from domainstream.redis.link import REPLY_TIMEOUT, RedisLink

CLIENT_NAME: Final = "domainstream-worker"


class WorkerConnections:
    """Makes the connections of one worker."""

    def __init__(self, url: str, queue: str, *, bull_prefix: str, name: str | None) -> None:
        """Connect to `url`, as the worker `name` of a queue. Raises `ConfigurationError` for a URL that is none."""
        self.bull_prefix = bull_prefix
        """What every key of BullMQ begins with."""
        self.key_prefix = f"{bull_prefix}:{queue}:"
        """What every key of the queue begins with."""
        self._url = url
        shown = b64encode(queue.encode()).decode()
        self._shown_name = f"{bull_prefix}:{shown}" + (f":w:{name}" if name else "")
        self.link()

    def link(self) -> RedisLink:
        """Return a link for calls."""
        return self._link(CLIENT_NAME)

    def shown_link(self) -> RedisLink:
        """Return the one link whose name makes BullMQ's tools count this worker."""
        return self._link(self._shown_name)

    def client_of_thread(self) -> Redis:
        """Return a client for a thread."""
        client = Redis.from_url(self._url)
        own = {
            "protocol": 2,
            "decode_responses": False,
            "socket_timeout": REPLY_TIMEOUT,
            "socket_connect_timeout": REPLY_TIMEOUT,
            "retry": Retry(NoBackoff(), 0),
            "client_name": CLIENT_NAME,
        }
        client.connection_pool.connection_kwargs.update(own)
        return client

    def client_of_package(self) -> AsyncRedis:
        """Return a client for the package `bullmq`, which reads texts."""
        return connect(self._url, decode_responses=True, client_name=CLIENT_NAME)

    def _link(self, client_name: str) -> RedisLink:
        return RedisLink.from_url(self._url, client_name=client_name)
