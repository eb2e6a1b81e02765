"""The page docs/how-to/use-with-django.md, executed as a Django project from its settings to an entry in a stream."""

import json
import os
import re
import signal
import sys
from asyncio import create_subprocess_shell, timeout
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import psycopg
import pytest
from conftest import BINARIES, Servers
from django import VERSION
from integration.outbox.conftest import UrlOf
from redis.asyncio import Redis
from support.consuming import until
from support.django_project import postgres_settings

ROOT: Final = Path(__file__).parents[4]
PAGE: Final = (ROOT / "docs/how-to/use-with-django.md").read_text(encoding="utf-8")
README: Final = (ROOT / "README.md").read_text(encoding="utf-8")
INSTALL, MODELS, VIEWS, TESTS, SQLITE = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
EXAMPLE_URL: Final = "redis://localhost:6379"
SQLITE_FILE: Final = "DATABASES = {'default': {'ENGINE': 'django.db.backends.sqlite3', 'NAME': 'clinic.db'}}"
MIGRATE, RELAY, STATUS = re.findall(r"```console\n\$ (.*?)\n```", PAGE, flags=re.DOTALL)
PATIENCE: Final = 300.0
"""Seconds until a program that should end soon is given up; many tests may share the machine."""

SETTINGS: Final = """
INSTALLED_APPS = ["stays"]
SECRET_KEY = "clinic"
USE_TZ = True
"""
MANAGE: Final = """
import os, sys
from django.core.management import execute_from_command_line

os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
execute_from_command_line(sys.argv)
"""
VISIT: Final = """
import asyncio, os
import django
from django.db import connection

os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
django.setup()
from django.test import RequestFactory
from stays.models import Stay, code_stay
from stays.views import code_stay_view

with connection.schema_editor() as editor:
    editor.create_model(Stay)
Stay.objects.create(id="stay-1")
code_stay("stay-1", ["I21.0"])
print(asyncio.run(code_stay_view(RequestFactory().get("/?code=I21.1&code=I21.2"), "stay-1")).status_code)
"""


class Project:
    """A Django project in a folder of its own, whose app has the page's code and the events of the README."""

    def __init__(self, folder: Path, database: str, environment: Mapping[str, str]) -> None:
        """Write its files; `database` is the part of the settings that says where it is."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "DATABASE"))}
        path = f"{Path(sys.executable).parent}{os.pathsep}{inherited['PATH']}"
        self._environment = {**inherited, "PATH": path, "PYTHONUNBUFFERED": "1", **environment}
        self._folder = folder
        names = "from stays.events import StayCoded, StayCodedPayload, channel_for\n"
        files = {
            "settings.py": f"{SETTINGS}\n{database}\n{INSTALL}",
            "manage.py": MANAGE,
            "visit.py": VISIT,
            "stays/__init__.py": "",
            "stays/events.py": re.findall(r"```python\n(.*?)\nasync def main", README, flags=re.DOTALL)[0],
            "stays/models.py": f"{names}{MODELS}",
            "stays/views.py": f"from stays.models import code_stay\n{VIEWS}",
            "stays/tests.py": f"{names}from stays.models import Stay, code_stay\n{TESTS}",
        }
        (folder / "stays").mkdir()
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")

    async def run(self, command: str) -> str:
        """Run a command, which must succeed; return what it prints."""
        async with self.running(command) as process, timeout(PATIENCE):
            output, errors = await process.communicate()
        assert process.returncode == 0, errors.decode()
        return output.decode()

    @asynccontextmanager
    async def running(self, command: str) -> AsyncIterator[Process]:
        """Run a command during the block."""
        shell = f"exec {command}" if command.startswith("python") else command.replace(" python", " exec python", 1)
        process = await create_subprocess_shell(
            shell, cwd=self._folder, env=self._environment, stdout=PIPE, stderr=PIPE
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
                await process.communicate()


@pytest.fixture
def server_url(servers: Servers) -> str:
    """The URL of one server: the page is about the database."""
    return servers.url_of(next(iter(BINARIES.values())))


@pytest.fixture(params=["sqlite", "postgresql"])
def project(
    request: pytest.FixtureRequest, postgres_url: UrlOf, stream_prefix: str, tmp_path: Path
) -> Iterator[Project]:
    """A project on a database of each kind."""
    environment = {"DOMAINSTREAM_PREFIX": stream_prefix}
    if request.param == "sqlite":
        yield Project(tmp_path, f"{SQLITE_FILE}\n{SQLITE if VERSION >= (5, 1) else ''}", environment)
        return
    url, schema = postgres_url().replace("+psycopg", ""), f"django_{uuid4().hex[:12]}"
    with psycopg.connect(url, autocommit=True) as server:
        server.execute(f'CREATE SCHEMA "{schema}"'.encode())
        yield Project(tmp_path, f"DATABASES = {{'default': {postgres_settings(url, schema)!r}}}", environment)
        server.execute(f'DROP SCHEMA "{schema}" CASCADE'.encode())


async def test_page_leads_from_settings_to_an_entry(project: Project, server_url: str, stream_prefix: str) -> None:
    """Every command of the page succeeds, and what its code commits is in the stream, in order and once."""
    await project.run(MIGRATE)
    assert await project.run("python visit.py") == "204\n"
    stream = f"{stream_prefix}domain_coding_stay_coded"
    async with Redis.from_url(server_url) as redis, project.running(RELAY.replace(EXAMPLE_URL, server_url)) as relay:
        await until(lambda: redis.xlen(stream), patience=PATIENCE)
        relay.send_signal(signal.SIGTERM)
        async with timeout(PATIENCE):
            _, log = await relay.communicate()
        entries: Any = await redis.xrange(stream)
    assert relay.returncode == 0, log.decode()
    assert "outbox.taken_over" in log.decode()
    messages = [json.loads(fields[b"data"]) for _, fields in entries]
    assert [message["data"]["codes"] for message in messages] == [["I21.0"], ["I21.1", "I21.2"]]
    status = json.loads(await project.run(f"{STATUS} --json"))
    assert (status["backlog"], status["relay"]["epoch"], status["relay"]["owner"]) == (0, 1, None)


async def test_test_of_the_page_passes(tmp_path: Path) -> None:
    """The TestCase on the page passes, on the test database that Django makes."""
    await Project(tmp_path, SQLITE_FILE, {}).run("python manage.py test")
