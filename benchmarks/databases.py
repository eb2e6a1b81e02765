"""The PostgreSQL that benchmarks of the outbox run on."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

sys.path.append("tests")  # the server that the tests start is good enough here
from support.postgres import URL_VARIABLE, postgres_binaries, postgres_server


@contextmanager
def find_postgres() -> Iterator[str | None]:
    """Yield the URL of a database in which tables may be created; None where there is no PostgreSQL."""
    if (given := os.environ.get(URL_VARIABLE)) is not None:
        yield given
    elif (binaries := postgres_binaries()) is not None:
        with postgres_server(binaries, durable=True) as server:
            yield server.url
    else:
        print(f"\noutbox: not measured, because there is no PostgreSQL; set {URL_VARIABLE}, or install postgresql")
        yield None
