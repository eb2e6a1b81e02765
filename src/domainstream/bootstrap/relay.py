"""Opens the relay of a service's outbox with the settings in its environment variables. Needs the extra `outbox`."""

import os
from typing import Any

from domainstream.bootstrap import DATABASE_VARIABLE, server_url, stream_prefix
from domainstream.errors import ServerNotFoundError
from domainstream.outbox import Outbox, OutboxRelay, RelaySettings
from domainstream.outbox.settings import DEFAULT_SETTINGS
from domainstream.publisher import Retention


def open_relay(
    outbox: Outbox[Any],
    *,
    url: str | None = None,
    database_url: str | None = None,
    retention: Retention | None = None,
    settings: RelaySettings = DEFAULT_SETTINGS,
) -> OutboxRelay:
    """Return the relay of `outbox`; use it in `async with` and await its `run()`.

    It reads the database at `database_url`, which defaults to `DATABASE_URL`, and publishes to the server at `url`,
    which defaults to `REDIS_URL`. `retention` is applied to the streams with each batch, as a publisher does. Raises
    `ServerNotFoundError` if an argument and its variable are both missing.
    """
    return OutboxRelay.from_url(
        server_url(url),
        database_url=database_of(database_url),
        table=outbox.table,
        prefix=stream_prefix(),
        retention=retention,
        settings=settings,
    )


def database_of(explicit: str | None) -> str:
    """Return `explicit`, or else `DATABASE_URL`; raise `ServerNotFoundError` if neither is set."""
    url = explicit or os.environ.get(DATABASE_VARIABLE)
    if not url:
        example = "postgresql://user@localhost:5432/database"
        raise ServerNotFoundError(f"no database is configured; run: export {DATABASE_VARIABLE}={example}")
    return url
