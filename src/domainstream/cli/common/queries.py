"""Queries that several commands on groups share."""

from collections.abc import Iterable

from domainstream.cli.common.redis_server import RedisServer
from domainstream.stream import GroupState
from domainstream.stream.inspection.groups import RedisGroupInspection
from domainstream.tools.common.errors import NotFoundError


def group_inspection(server: RedisServer) -> RedisGroupInspection:
    """Return the inspection of the server's groups."""
    return RedisGroupInspection(server.client, prefix=server.prefix)


async def group_states(server: RedisServer, channels: Iterable[str], group: str | None) -> list[GroupState]:
    """Return the states of all groups on `channels`, or only those of `group`.

    Raises `NotFoundError` if none of the channels has that group.
    """
    inspection = group_inspection(server)
    states = [state for channel in channels for state in await inspection.groups(channel)]
    if group is None:
        return states
    known = {state.group for state in states}
    if group not in known:
        raise NotFoundError.of("group", group, known, where=server.where, look="domainstream groups")
    return [state for state in states if state.group == group]
