"""The dashboard as an ASGI app, which can be served by itself or mounted in another one."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Message, Receive, Scope, Send

from domainstream.errors import ServerError
from domainstream.telemetry import Signal, emit
from domainstream.tools.dashboard.access import COOKIE, SESSION_SECONDS, Access, User
from domainstream.tools.dashboard.action_pages import ActionPages
from domainstream.tools.dashboard.contract_pages import ContractPages
from domainstream.tools.dashboard.facts import Facts
from domainstream.tools.dashboard.failures import FailureSamples
from domainstream.tools.dashboard.forms import NOTICE, cookie_path, read_form, read_notice
from domainstream.tools.dashboard.instance_pages import InstancePages
from domainstream.tools.dashboard.latency_pages import LatencyPages
from domainstream.tools.dashboard.live import Live
from domainstream.tools.dashboard.outbox_pages import OutboxPages
from domainstream.tools.dashboard.pages import Pages
from domainstream.tools.dashboard.rendering import SafeHeaders, page
from domainstream.tools.dashboard.retention_pages import RetentionPages
from domainstream.tools.dashboard.settings import DashboardSettings
from domainstream.tools.dashboard.story_pages import StoryPages

OPEN_TO_ALL = ("sign-in", "static")
"""What is shown to whoever asks, by the first part of its path."""


class Dashboard:
    """The dashboard: an ASGI app. For one event loop.

    Mounted in another app, which runs no lifespan of it, it connects when it is first asked; call `close` at the end.
    """

    def __init__(self, settings: DashboardSettings) -> None:
        """Show what `settings` say. Raises `ConfigurationError` for an invalid URL."""
        self.facts = Facts(settings)
        """The facts that it shows."""
        self.live = Live(self.facts)
        """What changes while a page is open."""
        self._access = Access(settings.access)
        samples = FailureSamples(self.facts)
        contracts = ContractPages(self.facts)
        pages, story = Pages(self.facts, samples), StoryPages(self.facts, contracts.in_flight)
        actions = ActionPages(self.facts, samples, self._access)
        self._app = Starlette(
            routes=[
                Route("/", pages.overview),
                Route("/queues", pages.queues),
                Route("/queues/{queue}", pages.queue),
                Route("/failures", pages.failures),
                Route("/failures/{queue}/{group}", pages.failure_group),
                Route("/jobs/{queue}/{job_id:path}", pages.job),
                Route("/channels", pages.channels),
                Route("/channels/{channel}", pages.channel),
                Route("/dead-letters/{channel}/{letter_id}", pages.dead_letter),
                Route("/story", story.story),
                Route("/map", story.map),
                *LatencyPages(self.facts).routes(),
                *InstancePages(self.facts).routes(),
                *OutboxPages(self.facts).routes(),
                *RetentionPages(self.facts).routes(),
                *contracts.routes,
                Route("/live", self.live.stream),
                Route("/do/{action}", actions.confirm, methods=["GET"]),
                Route("/do/{action}", actions.carry_out, methods=["POST"]),
                Route("/sign-in", self._sign_in, methods=["GET", "POST"]),
                Route("/sign-out", self._sign_out, methods=["POST"]),
                Mount("/static", StaticFiles(directory=Path(__file__).parent / "static")),
            ],
            exception_handlers={HTTPException: _failed, ServerError: _unavailable, 500: _broken},
            lifespan=self._lifespan,
        )
        self._safe_app = SafeHeaders(self._identified)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        await (self._safe_app if scope["type"] == "http" else self._app)(scope, receive, send)

    async def close(self) -> None:
        """End what follows the server for open pages, and close the connections."""
        await self.live.close()
        await self.facts.close()

    @asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        await self.facts.names.within(0)  # begins the search of all keys, for which the first visitor would wait
        yield
        await self.close()

    async def _identified(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request if we know who sends it, and give whoever has none a session."""
        request = Request(scope, receive)
        user, created = self._access.user_of(request), ""
        if user is not None and not user.session and not user.is_program:
            created = self._access.new_session()
            user = User(user.name, user.role, created)
        self._share(request, user)
        cookies = Response()
        if created:
            self._keep_session(request, cookies, created)
        if request.state.shared["notice"]:
            cookies.delete_cookie(NOTICE, path=cookie_path(request))

        async def send_with_cookies(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for cookie in cookies.headers.getlist("set-cookie"):
                    headers.append("set-cookie", cookie)
            await send(message)

        app = self._answer_to_stranger(request, user) or self._app
        await app(scope, receive, send_with_cookies)

    def _answer_to_stranger(self, request: Request, user: User | None) -> Response | None:
        if self._access.is_misdirected(request):
            words = "This dashboard asks nobody who they are, so it answers only to localhost."
            return page(request, "error.html", {"heading": "Wrong address", "words": words}, status=421)
        return _to_sign_in(request) if user is None and not _is_open_to_all(request) else None

    def _share(self, request: Request, user: User | None) -> None:
        """Give the page what all pages show."""
        request.state.user = user
        request.state.shared = {
            "user": user,
            "form_token": self._access.form_token(user.session) if user else "",
            "notice": read_notice(request, self._access),
            "place": self.facts.server.place,
            "prefix": self.facts.settings.prefix,
            "has_sign_out": not self._access.settings.is_open and not self._access.settings.user_header,
        }

    async def _sign_in(self, request: Request) -> Response:
        """Ask for a token, and begin a session with it."""
        base = request.scope.get("root_path", "")
        if request.state.user is not None:
            return RedirectResponse(f"{base}/", 303)
        if request.method == "GET":
            return page(request, "sign_in.html", {"wrong": False})
        role = self._access.role_of((await read_form(request)).get("token", ""))
        if not role:
            emit(Signal.DASHBOARD_SIGN_IN_FAILED, client=request.client.host if request.client else "unknown")
            return page(request, "sign_in.html", {"wrong": True}, status=403)
        response = RedirectResponse(f"{base}/", 303)
        self._keep_session(request, response, self._access.new_session(role))
        return response

    async def _sign_out(self, request: Request) -> Response:
        """End the session of a browser."""
        if not self._access.is_own_form(request, request.state.user, await read_form(request)):
            raise HTTPException(403, "The form has expired. Go back, reload the page, and try again.")
        response = RedirectResponse(f"{request.scope.get('root_path', '')}/sign-in", 303)
        response.delete_cookie(COOKIE, path=cookie_path(request))
        return response

    def _keep_session(self, request: Request, response: Response, session: str) -> None:
        response.set_cookie(
            COOKIE,
            self._access.signed(COOKIE, session),
            max_age=SESSION_SECONDS,
            path=cookie_path(request),
            secure=self._access.is_secure(request),
            httponly=True,
            samesite="strict",
        )


def _is_open_to_all(request: Request) -> bool:
    path = str(request.scope["path"]).removeprefix(request.scope.get("root_path", "")).strip("/")
    return path.partition("/")[0] in OPEN_TO_ALL


def _to_sign_in(request: Request) -> Response:
    wants_page = request.method == "GET" and "text/html" in request.headers.get("accept", "")
    if wants_page and not request.headers.get("authorization"):
        return RedirectResponse(f"{request.scope.get('root_path', '')}/sign-in", 303)
    return Response("Sign in first.", 401, {"www-authenticate": "Bearer"}, media_type="text/plain")


async def _failed(request: Request, error: Exception) -> Response:
    status, words = (error.status_code, error.detail) if isinstance(error, HTTPException) else (500, "")
    headings = {403: "Not allowed", 404: "Not found"}
    context = {"heading": headings.get(status, "This did not work"), "words": words}
    return page(request, "error.html", context, status=status)


async def _unavailable(request: Request, error: Exception) -> Response:
    context = {"heading": "The server could not be read", "words": str(error)}
    return page(request, "error.html", context, status=503)


async def _broken(request: Request, error: Exception) -> Response:
    # The message of an unexpected error may quote data.
    words = f"This is a bug in domainstream: {type(error).__name__}. The log of the dashboard has its traceback."
    return page(request, "error.html", {"heading": "Something went wrong", "words": words}, status=500)
