"""For tests and demos: private servers, flows of events in memory and, for authors of new ports, the contract suites.

No stage imports this package. This module imports neither pytest nor a Redis client, so that the command line can use
it.
"""

from domainstream.testing.embedded_server import EmbeddedServer, embedded_binary
from domainstream.testing.server_lookup import FoundServer, ServerBinary, find_server, server_binaries

__all__ = ["EmbeddedServer", "FoundServer", "ServerBinary", "embedded_binary", "find_server", "server_binaries"]
