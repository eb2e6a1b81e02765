"""The Node.js service of the demo, which knows nothing of the demo: what it prints is read as reports."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from time import time
from typing import Final

import msgspec
from msgspec import Struct

from domainstream.tools.demo.prerequisites import monorepo
from domainstream.tools.demo.protocol import ChildSettings, Handled, Report, Subscription

NAME: Final = "notifications"

_SUBSCRIPTION: Final = Subscription("domain_valuation_pricing_calculated", NAME, "announce-price")
_END_WITH_PARENT: Final = (
    "data:text/javascript,process.stdin.resume().on('end',()=>{process.kill(process.pid,'SIGTERM');"
    "setTimeout(()=>process.exit(1),3000).unref()})"
)
"""Runs before the service: the end of standard input stops it, as it stops the other processes of the demo."""


class Notification(Struct):
    """A line that the service prints."""

    notification_id: str = msgspec.field(name="notificationId")
    """The id of the event."""


def folder() -> Path:
    """Return the folder of the service."""
    return monorepo() / "services" / NAME


def missing() -> str | None:
    """Return why the service cannot run here, and what to do; None if it can."""
    if shutil.which("node") is None:
        return "Node.js is not installed"
    if not (folder() / "node_modules").is_dir():
        return f"run: npm ci --prefix {folder()}"
    return None


def command() -> tuple[str, ...]:
    """Return the command line of the service."""
    return ("node", "--import", _END_WITH_PARENT, str(folder() / "notifications.js"))


def environment(settings: ChildSettings) -> Mapping[str, str]:
    """Return the environment of the service."""
    return {**os.environ, "REDIS_URL": settings.url, "BULL_PREFIX": settings.bull_prefix}


def read_line(line: bytes) -> Report:
    """Read what the service prints for each event: it has been handled."""
    event_id = msgspec.json.decode(line, type=Notification).notification_id
    # An event's id is a UUID of version 7, which begins with the time.
    milliseconds = time() * 1000 - int(event_id.replace("-", "")[:12], 16)
    return Report(handled=[Handled(_SUBSCRIPTION, event_id, round(milliseconds, 3))])
