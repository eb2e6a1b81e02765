"""Renders pages, and adds to each response what keeps a browser from doing anything else with it."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from domainstream.tools.common.formatting import age, moment, number, plural

HEADERS: Final = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}

NAVIGATION: Final = {
    "Now": {"": "Overview", "map": "Map", "failures": "Failures", "story": "Story"},
    "On the way": {"outbox": "Outbox", "channels": "Channels", "queues": "Queues", "latency": "Latency"},
    "The system": {"instances": "Instances", "retention": "Retention"},
    "The code": {"contracts": "Contracts", "catalogue": "Catalogue"},
}
"""The pages that every page leads to, in groups: their names by their paths."""


def path_to(*parts: str, **query: str | int) -> str:
    """Return the path of a page below the dashboard's own, each part escaped."""
    words = {name: value for name, value in query.items() if value != ""}
    return "/" + "/".join(quote(part, safe="") for part in parts) + (f"?{urlencode(words)}" if words else "")


def short(text: str, length: int = 160) -> str:
    """Return a text, cut to a length."""
    return text if len(text) <= length else f"{text[: length - 1]}…"


def line_of_code(where: str) -> str:
    """Return where something failed without the folders that all files of a deployment are in."""
    path, line = where.split(":", 1) if ":" in where else (where, "")
    return f"{'/'.join(path.split('/')[-2:])}{line and ':'}{line}"


def seconds(milliseconds: int | None) -> str:
    """Return an age for a column of numbers, in seconds below two minutes; `0 s` for None, where nothing waits."""
    if milliseconds is None:
        return "0 s"
    return f"{milliseconds / 1000:.1f} s" if milliseconds < 120_000 else age(milliseconds)


def size(count: int | None) -> str:
    """Return a number of bytes in its largest unit, as `3.4 MB`; `-` for None."""
    if count is None:
        return "-"
    left, units = float(count), ["B", "kB", "MB", "GB", "TB"]
    while left >= 1000 and len(units) > 1:
        left, units = left / 1000, units[1:]
    return f"{left:.0f} {units[0]}" if units[0] == "B" or left >= 100 else f"{left:.1f} {units[0]}"


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("domainstream.tools.dashboard"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(path_to=path_to, navigation=NAVIGATION)
    environment.filters.update(
        age=age,
        moment=moment,
        number=number,
        short=short,
        seconds=seconds,
        size=size,
        plural=plural,
        line_of_code=line_of_code,
    )
    return environment


ENVIRONMENT: Final = _environment()


def page(request: Request, template: str, context: Mapping[str, Any], *, status: int = 200) -> HTMLResponse:
    """Return a page; `request.state` says who asks."""
    shared = {
        "base": request.scope.get("root_path", "").rstrip("/"),
        "path": _own_path(request),
        "notice": "",
        **request.state.shared,
    }
    text = ENVIRONMENT.get_template(template).render({**shared, **context})
    return HTMLResponse(text, status, headers={"cache-control": "no-store"})


def _own_path(request: Request) -> str:
    """Return the path of a request below the one that the dashboard is mounted at."""
    root, path = request.scope.get("root_path", ""), request.scope["path"]
    return str(path.removeprefix(root)).strip("/")


class SafeHeaders:
    """Adds the headers to every response."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap `app`."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await self._app(scope, receive, send_safely)
