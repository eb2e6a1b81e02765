"""`make bench`: every comparison on one server of our own; exit 1 when a wanted ratio was not reached."""

import sys

from benchmarks import memory, publishing
from domainstream.testing import find_server


def main() -> int:
    """Run all benchmarks."""
    with find_server() as server:
        print(f"server: {server.origin}\n")
        met = [publishing.run(server.url), memory.run(server.url)]
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
