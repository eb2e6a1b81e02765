"""Opens the connections of a worker, under the names that BullMQ's tools look for."""

from base64 import b64encode
from typing import Final

from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from domainstream.redis.connection import connect, connect_blocking
from domainstream.redis.link import RedisLink
from domainstream.redis.server_url import ServerUrl

CLIENT_NAME: Final = "domainstream-worker"


class WorkerConnections:
    """Makes the connections of one worker."""

    def __init__(self, url: str, queue: str, *, bull_prefix: str, name: str | None) -> None:
        """Connect to `url` as the worker `name` of `queue`. Raises `ConfigurationError` for an invalid URL."""
        self.bull_prefix = bull_prefix
        """The prefix of every key of BullMQ."""
        self.key_prefix = f"{bull_prefix}:{queue}:"
        """The prefix of every key of the queue."""
        self._url = ServerUrl.parse(url).url
        encoded = b64encode(queue.encode()).decode()
        self._listed_name = f"{bull_prefix}:{encoded}" + (f":w:{name}" if name else "")

    def link(self) -> RedisLink:
        """Return a link for script calls."""
        return RedisLink.from_url(self._url, client_name=CLIENT_NAME)

    def listed_link(self) -> RedisLink:
        """Return the link by whose name BullMQ's tools list this worker; there must be one per worker."""
        return RedisLink.from_url(self._url, client_name=self._listed_name)

    def blocking_client(self) -> Redis:
        """Return a client for the thread that renews locks."""
        return connect_blocking(self._url, client_name=CLIENT_NAME)

    def package_client(self) -> AsyncRedis:
        """Return a client for the package `bullmq`, which expects decoded replies."""
        return connect(self._url, decode_responses=True, client_name=CLIENT_NAME)
