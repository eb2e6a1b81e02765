"""`make bench`: every comparison on one server of our own; exit 1 when a wanted ratio was not reached."""

import sys

from benchmarks import (
    checking,
    clusters,
    end_to_end,
    forwarding,
    indexing,
    many_channels,
    memory,
    ordering,
    publishing,
    relaying,
    searching,
    storing,
    tracing,
    working,
)
from benchmarks.databases import find_postgres
from domainstream.testing import find_server


def main() -> int:
    """Run all benchmarks."""
    with find_server() as server:
        print(f"server: {server.origin}\n")
        parts = (
            *(publishing, indexing, memory, searching, forwarding, many_channels),
            *(working, ordering, end_to_end, tracing),
        )
        met = [part.run(server.url) for part in parts]
        with find_postgres() as database_url:
            if database_url is not None:
                met += [storing.run(database_url), relaying.run(server.url, database_url)]
    met += [clusters.run(), checking.main() == 0]
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
