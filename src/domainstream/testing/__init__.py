"""For tests and demos: servers of one's own and, for authors of new ports, the contract suites.

Here belongs what helps to try domainstream; nothing in front of it on the arrow may import it. This module imports
neither pytest nor a Redis client, so that the command line can use it.
"""

from domainstream.testing.embedded_server import EmbeddedServer, embedded_binary
from domainstream.testing.server_lookup import FoundServer, ServerBinary, find_server, server_binaries

__all__ = ["EmbeddedServer", "FoundServer", "ServerBinary", "embedded_binary", "find_server", "server_binaries"]
