"""Who is connected to a server, as its CLIENT LIST says it."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec import Struct
from redis.asyncio import Redis
from redis.exceptions import NoPermissionError, ResponseError

from domainstream.redis.nodes import RedisNodes
from domainstream.redis.topology import Address

_OWN_VERSION: Final = re.compile(r"domainstream_v([^;)]+)")


class ClientConnection(Struct, frozen=True, kw_only=True):
    """A connection of a client to one server."""

    name: str
    """The name that the client has given it; empty for none."""

    address: str
    """Where it comes from: host and port, or the path of a Unix socket."""

    age_s: int
    """For how many seconds it has been open."""

    library: str
    """The client's library, as it says; empty where it does not, and on servers before 7.2."""

    library_version: str
    """The version of that library; empty for unknown."""

    @property
    def host(self) -> str:
        """The host that it comes from."""
        host, _, port = self.address.rpartition(":")
        return host if port.isdecimal() else self.address

    @property
    def version(self) -> str:
        """The version of domainstream that opened it; empty for another program, and where the server does not say."""
        found = _OWN_VERSION.search(self.library)
        return found[1] if found else ""


async def connections_of(redis: Redis) -> list[ClientConnection] | None:
    """Return the connections of one server, without those of replicas; None where the user may not list them."""
    try:
        connections: Sequence[Mapping[str, Any]] = await redis.client_list(_type="normal")
    except NoPermissionError:
        return None
    except ResponseError as error:
        if "unknown" in str(error).lower():  # managed servers disable commands
            return None
        raise
    return [
        ClientConnection(
            name=str(one.get("name", "")),
            address=str(one.get("addr", "")),
            age_s=int(one.get("age", 0)),
            library=str(one.get("lib-name", "")),
            library_version=str(one.get("lib-ver", "")),
        )
        for one in connections
    ]


async def all_connections(nodes: RedisNodes) -> dict[Address, list[ClientConnection] | None]:
    """Return the connections of each server, or None where the user may not list them.

    A node of a cluster that does not answer is as one that may not be asked: the others are shown nevertheless. Raises
    the `ServerError` of a single server.
    """
    found = await nodes.try_each(connections_of)
    return {address: None if isinstance(one, Exception) else one for address, one in found.items()}
