"""The databases of a Django project."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from django.test import override_settings
from integration.outbox.conftest import UrlOf, postgres_url
from support.coding import CodingEvent, channel_for
from support.django_project import (
    ALIASES,
    forget_databases,
    migrate,
    postgres_settings,
    sqlite_settings,
    use_databases,
)

from domainstream.integrations.django import DjangoOutbox

__all__ = ["postgres_url"]


@pytest.fixture
def outbox() -> DjangoOutbox[CodingEvent]:
    """The outbox of the sample service."""
    return DjangoOutbox(channel_for=channel_for, source="coding")


@pytest.fixture
def settings_of_django() -> Iterator[Callable[..., None]]:
    """Return a function that changes Django's settings for the test."""
    with ExitStack() as stack:
        yield lambda **changed: stack.enter_context(override_settings(**changed))


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_databases(request: pytest.FixtureRequest, postgres_url: UrlOf, tmp_path: Path) -> Iterator[str]:
    """Let `default` and `other` be databases of one kind without tables; return the kind."""
    kind: str = request.param
    if kind == "sqlite":
        use_databases({alias: sqlite_settings(f"{tmp_path}/{alias}.db") for alias in ALIASES})
        yield kind
        forget_databases()
        return
    url = postgres_url().replace("+psycopg", "")
    schemas = {alias: f"django_{alias}_{uuid4().hex[:12]}" for alias in ALIASES}
    with psycopg.connect(url, autocommit=True) as server:
        for schema in schemas.values():
            server.execute(f'CREATE SCHEMA "{schema}"'.encode())
        use_databases({alias: postgres_settings(url, schema) for alias, schema in schemas.items()})
        yield kind
        forget_databases()
        for schema in schemas.values():
            server.execute(f'DROP SCHEMA "{schema}" CASCADE'.encode())


@pytest.fixture
def databases(empty_databases: str) -> str:
    """The same with the tables of the outbox and of the model."""
    migrate(*ALIASES)
    return empty_databases
