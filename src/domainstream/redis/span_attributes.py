"""What spans say of the server."""

from domainstream.redis.topology import RedisTopology, TopologyKind
from domainstream.telemetry import Attribute, Attributes


def server_attributes(url: str) -> Attributes:
    """Return the address of the server that a URL names; nothing where it may be one of several."""
    topology = RedisTopology.of(url)
    if topology.kind is not TopologyKind.SINGLE:
        return {}
    host, port = topology.seeds[0]
    if not port:  # a Unix socket
        return {Attribute.SERVER_ADDRESS: host}
    return {Attribute.SERVER_ADDRESS: host, Attribute.SERVER_PORT: port}
