"""Finds the example monorepo: inside the installed package, or beside `src` in a checkout."""

from collections.abc import Iterator
from pathlib import Path

import domainstream
from domainstream.errors import DomainStreamError

_PACKAGE = Path(domainstream.__file__).parent


class MonorepoNotFoundError(DomainStreamError):
    """The example is neither in the installed package nor in a checkout around it."""


def monorepo() -> Path:
    """Return the folder of the example monorepo."""
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
