"""The demo's own requests to the servers: their version, the lengths of streams, and the cleanup of the run."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from domainstream.errors import DomainStreamError, ServerError, ServerUnavailableError
from domainstream.redis.cluster_link import open_link
from domainstream.redis.keys import stream_key
from domainstream.redis.nodes import RedisNodes
from domainstream.redis.topology import RedisTopology

_TIMEOUT: Final = timedelta(seconds=5)
_LENGTHS_TIMEOUT: Final = 0.3
_KEYS_AT_ONCE: Final = 1000


class ServerWentAwayError(DomainStreamError):
    """The server stopped answering during the run."""


class RedisDemoServer:
    """The server of one run, or the servers, over connections of its own.

    Raises `ConfigurationError` for an invalid URL.
    """

    def __init__(self, url: str, run: str) -> None:
        self.run = run
        """The name of the run, which all of its keys and no others contain."""
        self._topology = RedisTopology.of(url)
        self._place = self._topology.place
        self._lengths: dict[str, int] = {}
        self._link = open_link(self._topology, client_name="domainstream-demo")

    async def describe(self) -> str:
        """Return the server's name and version; raise `ServerUnavailableError` when it does not answer."""
        answer = await self._info()
        if isinstance(answer, Exception):
            raise ServerUnavailableError(
                f"cannot use the server at {self._place}: {str(answer).rstrip('.')}. "
                "Start it, or correct --redis-url or REDIS_URL; without both the demo starts a server of its own"
            )
        lines = answer.decode().splitlines()
        info = dict(line.split(":", 1) for line in lines if ":" in line)
        if info.get("server_name") == "valkey":
            return f"Valkey {info['valkey_version']}"
        return f"Redis {info['redis_version']}"

    async def check(self) -> None:
        """Raise `ServerWentAwayError` if the server no longer answers."""
        if isinstance(await self._info(), Exception):
            raise ServerWentAwayError(
                f"The server at {self._place} went away while the demo was running.\n"
                "Check why it ended, start it if it is yours, and run again: domainstream demo"
            )

    async def lengths(self, channels: Sequence[str]) -> dict[str, int]:
        """Return the length of each channel's stream; the last known lengths if the server does not answer."""
        lengths = {}
        for channel in channels:  # one at a time, as on a cluster they lie at several nodes
            command = ("XLEN", stream_key(channel, f"{self.run}:"))
            (lengths[channel],) = await self._link.exchange(command, seconds=_LENGTHS_TIMEOUT)
            if isinstance(lengths[channel], Exception):
                # The run then ends with missing events or with `check`, which say more than an error here would.
                return self._lengths
        self._lengths = lengths
        return lengths

    async def forget_run(self) -> str | None:
        """Delete every key of the run; return the problem, or None."""

        async def forget(client: Any) -> None:
            async with client.pipeline(transaction=False) as pipe:
                async for key in client.scan_iter(match=f"*{self.run}*", count=_KEYS_AT_ONCE):
                    pipe.unlink(key)  # alone: on a cluster, keys lie in different slots
                    if len(pipe) >= _KEYS_AT_ONCE:
                        await pipe.execute()
                await pipe.execute()

        try:
            async with RedisNodes.open(self._topology, reply_timeout=_TIMEOUT) as nodes:
                await nodes.each(forget)
        except ServerError as error:
            return f"keys with {self.run} may be left at {self._place}: {error}"
        return None

    async def aclose(self) -> None:
        """Release the connections."""
        await self._link.drop()

    async def _info(self) -> bytes | Exception:
        """Return INFO of a server, or why it did not answer."""
        (answer,) = await self._link.exchange(("INFO", "server"), seconds=_TIMEOUT.total_seconds())
        result: bytes | Exception = answer
        return result
