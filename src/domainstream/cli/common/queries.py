"""What the commands on groups share."""

from collections.abc import Iterable

from domainstream.cli.common.errors import NotFoundError
from domainstream.cli.common.redis_server import RedisServer
from domainstream.stream import GroupState
from domainstream.stream.inspection.groups import RedisGroupInspection


def inspection_of(server: RedisServer) -> RedisGroupInspection:
    """Return the inspection of the server's groups."""
    return RedisGroupInspection(server.client, prefix=server.prefix)


async def states_of(server: RedisServer, channels: Iterable[str], group: str | None) -> list[GroupState]:
    """Return the states of all groups on some channels, or of the one that is named.

    Raises `NotFoundError` where none of the channels has that group.
    """
    inspection = inspection_of(server)
    states = [state for channel in channels for state in await inspection.groups(channel)]
    if group is None:
        return states
    require_group(server, group, {state.group for state in states})
    return [state for state in states if state.group == group]


def require_group(server: RedisServer, group: str, known: Iterable[str]) -> None:
    """Raise `NotFoundError` unless a group is known."""
    if group not in set(known):
        raise NotFoundError.of("group", group, known, where=server.where, look="domainstream groups")
