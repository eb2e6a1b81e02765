"""Forms that pages send, and the sentence that the next page shows about what became of one."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final
from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from domainstream.tools.dashboard.access import LONGEST_FORM, Access

NOTICE: Final = "domainstream_ui_notice"
LONGEST_NOTICE: Final = 1_000


async def read_form(request: Request) -> dict[str, str]:
    """Return the fields of a form by name; of several with one name, the last."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LONGEST_FORM:
            raise HTTPException(413, "The form is too long.")
    return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))


def done(request: Request, access: Access, path: str, words: str) -> Response:
    """Lead to a page that says what was done."""
    response = RedirectResponse(f"{request.scope.get('root_path', '')}{path}", 303)
    text = urlsafe_b64encode(words[:LONGEST_NOTICE].encode("utf-8", "replace")).decode()
    response.set_cookie(
        NOTICE,
        access.signed(NOTICE, text),
        max_age=60,
        path=cookie_path(request),
        secure=access.is_secure(request),
        httponly=True,
        samesite="strict",
    )
    return response


def read_notice(request: Request, access: Access) -> str:
    """Return what a page must say about the form that led to it; empty for nothing."""
    if not request.headers.get("accept", "").startswith("text/html"):
        return ""
    return urlsafe_b64decode(access.unsigned(NOTICE, request.cookies.get(NOTICE, ""))).decode("utf-8", "replace")


def cookie_path(request: Request) -> str:
    """Return the path that cookies belong to: that of the dashboard, wherever it is mounted."""
    return str(request.scope.get("root_path", "")) or "/"
