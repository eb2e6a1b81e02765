"""Who is alive: subscribers by their leases, and whatever else is connected by the names of its connections."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from msgspec import Struct

from domainstream.publisher.redis_batch_publisher import CLIENT_NAME as RELAY
from domainstream.publisher.redis_stream_publisher_client import CLIENT_NAME as PUBLISHER
from domainstream.queue.bullmq.scripts import queue_key
from domainstream.queue.bullmq.workers import worker_of
from domainstream.redis.client_list import ClientConnection, all_connections
from domainstream.redis.nodes import RedisNodes
from domainstream.redis.topology import Address
from domainstream.stream.inspection.instances import Readers, RedisInstanceInspection
from domainstream.tools.common.server import RedisServer
from domainstream.worker.bullmq.engine import CLIENT_NAME as WORKER

PROGRAMS: Final = {PUBLISHER: "publisher", RELAY: "relay", WORKER: "worker"}
"""What our connections are for, by their names."""

OTHER: Final = "subscriber or tool"
"""What a connection of ours without a name is for: subscribers, commands and dashboards give theirs none."""


class WorkerConnection(Struct, frozen=True, kw_only=True):
    """A worker that waits for jobs."""

    queue: str
    """BullMQ's name of its queue."""

    name: str
    """Its own name; empty for none."""

    connection: ClientConnection
    """The connection over which it waits."""


class ProgramConnections(Struct, frozen=True, kw_only=True):
    """The connections of one kind of program from one host."""

    program: str
    """What they are for."""

    host: str
    """Where they come from."""

    version: str
    """The version of domainstream; empty for unknown."""

    connections: int
    """How many there are, over all servers."""

    age_s: int
    """For how many seconds the oldest has been open."""


class Instances(Struct, frozen=True, kw_only=True):
    """Who is alive."""

    readers: Readers
    """The instances of subscribers, and the consumers that are gone."""

    workers: list[WorkerConnection]
    """The workers, by queue."""

    programs: list[ProgramConnections]
    """What else is connected, by program and host; only what is known to be domainstream."""

    versions: dict[str, int]
    """How many connections each known version of domainstream has."""

    unlisted: list[Address]
    """The servers whose connections could not be listed."""


async def read_instances(server: RedisServer, *, bull_prefix: str) -> Instances:
    """Return who is alive. Raises `ServerError`."""
    streams = await server.streams.streams(await server.streams.channels())
    groups = await server.groups.groups_of(streams, count_at_most=0)
    found = await all_connections(server.nodes)
    listed = {address: one for address, one in found.items() if one is not None}
    every = [connection for one in listed.values() for connection in one]
    return Instances(
        readers=await RedisInstanceInspection(server.nodes, prefix=server.prefix).readers(groups),
        workers=await _workers(server.nodes, listed, bull_prefix),
        programs=_programs(every),
        versions=dict(sorted(Counter(one.version for one in every if one.version).items())),
        unlisted=[address for address in found if address not in listed],
    )


async def _workers(
    nodes: RedisNodes, listed: Mapping[Address, Sequence[ClientConnection]], bull_prefix: str
) -> list[WorkerConnection]:
    workers: list[WorkerConnection] = []
    for address, connections in listed.items():
        for connection in connections:
            named = worker_of(connection.name, bull_prefix=bull_prefix)
            # A worker waits at the node that has its queue; it may have connections of the same name to others.
            if named and await nodes.address_of(queue_key(bull_prefix, named.queue, "")) == address:
                workers.append(WorkerConnection(queue=named.queue, name=named.worker, connection=connection))
    return sorted(workers, key=lambda one: (one.queue, one.name, one.connection.address))


def _programs(connections: Iterable[ClientConnection]) -> list[ProgramConnections]:
    found: dict[tuple[str, str, str], list[int]] = {}
    for one in connections:
        program = PROGRAMS.get(one.name, OTHER if one.version and not one.name else "")
        if program:
            found.setdefault((program, one.host, one.version), []).append(one.age_s)
    return [
        ProgramConnections(program=program, host=host, version=version, connections=len(ages), age_s=max(ages))
        for (program, host, version), ages in sorted(found.items())
    ]
