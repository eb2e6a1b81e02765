"""Opens the relay of a Django project, for a database of `settings.DATABASES`."""

import os
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connections
from sqlalchemy.engine import URL

from domainstream.bootstrap import PREFIX_VARIABLE, URL_VARIABLE
from domainstream.errors import ConfigurationError, ServerNotFoundError
from domainstream.outbox import OutboxRelay, RelaySettings
from domainstream.outbox.sql.tables import require_supported
from domainstream.publisher import Retention

REDIS_URL: Final = "DOMAINSTREAM_REDIS_URL"
PREFIX: Final = "DOMAINSTREAM_PREFIX"
RETENTION: Final = "DOMAINSTREAM_RETENTION"
RELAY: Final = "DOMAINSTREAM_RELAY"

_NOT_OF_LIBPQ: Final = {
    *("isolation_level", "server_side_binding", "pool", "assume_role"),  # Django's
    *("autocommit", "client_encoding", "connection_factory", "context", "cursor_factory"),  # psycopg's
    *("prepare_threshold", "row_factory", "server_settings"),
}
_OF_ASYNCPG: Final = {"sslmode": "ssl", "passfile": "passfile", "target_session_attrs": "target_session_attrs"}


def open_relay(
    using: str = DEFAULT_DB_ALIAS, *, redis_url: str | None = None, prefix: str | None = None
) -> OutboxRelay:
    """Return the relay of the outbox in the database `using`; it connects when it runs.

    `redis_url` defaults to the setting `DOMAINSTREAM_REDIS_URL` or else the variable `REDIS_URL`; `prefix` to the
    setting or the variable `DOMAINSTREAM_PREFIX`. The settings `DOMAINSTREAM_RETENTION` and `DOMAINSTREAM_RELAY` hold
    a `Retention` and `RelaySettings`.

    Raises `ServerNotFoundError` without a server, `ConfigurationError` for settings that cannot be used, and
    `OutboxError` for a database that is not supported.
    """
    return OutboxRelay.from_url(
        redis_server(redis_url),
        database_url=database_url(using),
        prefix=stream_prefix(prefix),
        retention=_setting(RETENTION, Retention()),
        settings=_setting(RELAY, RelaySettings()),
    )


def redis_server(explicit: str | None = None) -> str:
    """Return the server's URL; see `open_relay`. Raises `ServerNotFoundError` without one."""
    url = explicit or getattr(settings, REDIS_URL, None) or os.environ.get(URL_VARIABLE)
    if not url:
        raise ServerNotFoundError(
            f"no server is configured; write {REDIS_URL} = 'redis://localhost:6379' into the settings, or run: export "
            f"{URL_VARIABLE}=redis://localhost:6379"
        )
    return str(url)


def stream_prefix(explicit: str | None = None) -> str:
    """Return what begins the key of every stream; see `open_relay`."""
    candidates = (explicit, getattr(settings, PREFIX, None), os.environ.get(PREFIX_VARIABLE))
    return next((str(prefix) for prefix in candidates if prefix is not None), "")


def database_url(using: str = DEFAULT_DB_ALIAS) -> str:
    """Return the URL of a database in `settings.DATABASES`, password included, for a driver that can await.

    Raises `ConfigurationError` for a database in memory, or one that needs options which no installed driver knows;
    `OutboxError` for a database that is not supported.
    """
    connection = connections[using]
    require_supported(connection.vendor)
    build = _postgresql_url if connection.vendor == "postgresql" else _sqlite_url
    return build(using, connection.settings_dict).render_as_string(hide_password=False)


def _postgresql_url(using: str, database: Mapping[str, Any]) -> URL:
    """Return a URL for psycopg 3, for which Django's options mean the same; for asyncpg where it is not installed."""
    options: dict[str, Any] = {
        name: value for name, value in database["OPTIONS"].items() if name not in _NOT_OF_LIBPQ and value is not None
    }
    role = database["OPTIONS"].get("assume_role")
    driver = "psycopg"
    if not find_spec("psycopg") and find_spec("asyncpg"):
        driver = "asyncpg"
        unknown = sorted({*options} - {*_OF_ASYNCPG, "connect_timeout"} | ({"assume_role"} if role else set()))
        if unknown:
            raise _unusable(using, f"asyncpg has no options {', '.join(unknown)}; run: pip install 'psycopg[binary]'")
        options = {_OF_ASYNCPG[name]: value for name, value in options.items() if name in _OF_ASYNCPG}
    elif role:
        options["options"] = f"{options.get('options', '')} -c role={role}".strip()
    where = {"host": database["HOST"], "port": database["PORT"]}  # not in the URL's place: a host may be a folder
    return URL.create(
        f"postgresql+{driver}",
        username=database["USER"] or None,
        password=database["PASSWORD"] or None,
        database=database["NAME"] or None,
        query={name: str(value) for name, value in {**options, **where}.items() if value not in ("", None)},
    )


def _sqlite_url(using: str, database: Mapping[str, Any]) -> URL:
    name = str(database["NAME"])
    if not name or ":memory:" in name or "mode=memory" in name:
        raise _unusable(using, "it is in memory, where the relay, another process, cannot read it; use a file")
    if name.startswith("file:"):
        raise _unusable(using, "its NAME is a URI; write the path of the file")
    return URL.create("sqlite+aiosqlite", database=str(Path(name).absolute()))


def _setting(name: str, default: Any) -> Any:
    value = getattr(settings, name, None)
    if value is None:
        return default
    if not isinstance(value, type(default)):
        kind = type(default).__name__
        raise ConfigurationError(
            "The settings of Django cannot be used:", [f"{name} is not {kind} but {type(value).__name__}; use {kind}()"]
        )
    return value


def _unusable(using: str, problem: str) -> ConfigurationError:
    return ConfigurationError(f"The relay cannot use DATABASES[{using!r}]:", [problem])
