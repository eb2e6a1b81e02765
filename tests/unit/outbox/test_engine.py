"""The relay's engine gets a driver that can await, out of those that are installed."""

from importlib.util import find_spec

import pytest

from domainstream.errors import ConfigurationError
from domainstream.outbox.sql import engine


def install(monkeypatch: pytest.MonkeyPatch, *drivers: str) -> None:
    """Let only these drivers look installed."""
    monkeypatch.setattr(engine, "find_spec", lambda name: find_spec(name) if name in drivers else None)


@pytest.mark.parametrize("named", ["psycopg", "psycopg2", "asyncpg"])
async def test_named_driver_that_is_missing_is_replaced(monkeypatch: pytest.MonkeyPatch, named: str) -> None:
    """A URL gets the driver that is installed, whichever it names."""
    install(monkeypatch, "asyncpg")
    opened = engine.open_engine(f"postgresql+{named}://user@host/database")
    assert opened.driver == "asyncpg"
    await opened.dispose()


@pytest.mark.parametrize("url", ["sqlite+aiosqlite:///file.db", "postgresql+psycopg://user@host/database"])
def test_missing_driver_is_named(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Without any driver that can await, the error says what to install, even if the URL names one."""
    install(monkeypatch)
    with pytest.raises(ConfigurationError, match="no driver is installed; run: pip install a"):
        engine.open_engine(url)
