"""Who asks: tokens, the header of a reverse proxy, sessions, and forms that only our own pages can send."""

import hmac
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final
from urllib.parse import urlsplit

from starlette.requests import Request

from domainstream.tools.dashboard.settings import EVERYONE, AccessSettings, is_loopback

COOKIE: Final = "domainstream_ui"
SESSION_SECONDS: Final = 12 * 3600
LONGEST_FORM: Final = 64 * 1024
"""Bytes."""

OPERATOR: Final = "operator"
VIEWER: Final = "viewer"


@dataclass(frozen=True, slots=True)
class User:
    """Who asks."""

    name: str
    """Their name as the reverse proxy has it, or else their role."""

    role: str
    """`operator` or `viewer`."""

    session: str = ""
    """The value of their session's cookie, to which their forms belong; empty if they have none yet."""

    is_program: bool = False
    """Whether it is a program that sends its token, which no page elsewhere can make a browser do."""

    @property
    def is_operator(self) -> bool:
        """Whether they may change something."""
        return self.role == OPERATOR


class Access:
    """Finds out who asks. Sessions are signed, not stored: a restart ends them."""

    def __init__(self, settings: AccessSettings) -> None:
        self.settings = settings
        """Who may do what."""
        self._key = secrets.token_bytes(32)

    def user_of(self, request: Request) -> User | None:
        """Return who sends a request; None if they must say so first."""
        settings, session = self.settings, self.session_of(request)
        if settings.is_open:
            return User("local", self._role(OPERATOR), session)
        if settings.user_header and (names := request.headers.getlist(settings.user_header)):
            return self._user_of_proxy(request, names, session)
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and (role := self.role_of(token.strip())):
            return User(role, role, is_program=True)
        role = self._session_role(session)
        return User(role, role, session) if role else None

    def role_of(self, token: str) -> str:
        """Return the role that a token gives; empty for a wrong one."""
        for known, role in ((self.settings.operator_token, OPERATOR), (self.settings.viewer_token, VIEWER)):
            if known and same(known, token):
                return self._role(role)
        return ""

    def is_misdirected(self, request: Request) -> bool:
        """Return whether the request was made for another host: a page elsewhere can point its name at this machine."""
        if not self.settings.is_open:
            return False
        return not is_loopback(urlsplit(f"//{request.headers.get('host', '')}").hostname or "")

    def session_of(self, request: Request) -> str:
        """Return the session of a request if it is one of ours and has not expired; else empty."""
        text = self.unsigned(COOKIE, request.cookies.get(COOKIE, ""))
        expires = text.partition(".")[0]
        return text if expires.isdigit() and int(expires) > time.time() else ""

    def new_session(self, role: str = "") -> str:
        """Return the value of a new session."""
        return f"{int(time.time()) + SESSION_SECONDS}.{role}.{secrets.token_urlsafe(16)}"

    def form_token(self, session: str) -> str:
        """Return what a form of a session must send."""
        return self._signature(f"form {session}")

    def is_own_form(self, request: Request, user: User, form: Mapping[str, str]) -> bool:
        """Return whether a form is from a page of ours. A program that sends its token needs no form."""
        if user.is_program:
            return True
        if not user.session or request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return False
        return same(self.form_token(user.session), form.get("form_token", ""))

    def signed(self, cookie: str, text: str) -> str:
        """Return the value of a cookie: a text with our signature."""
        return f"{self._signature(f'{cookie} {text}')}.{text}"

    def unsigned(self, cookie: str, signed: str) -> str:
        """Return the text that we have signed for this cookie; empty if we have not."""
        signature, _, text = signed.partition(".")
        return text if same(self._signature(f"{cookie} {text}"), signature) else ""

    def is_secure(self, request: Request) -> bool:
        """Return whether a request came over TLS, up to us or up to the reverse proxy."""
        forwarded = self._is_of_proxy(request) and request.headers.get("x-forwarded-proto") == "https"
        return forwarded or request.url.scheme == "https"

    def _is_of_proxy(self, request: Request) -> bool:
        return request.client is not None and request.client.host in self.settings.trusted_proxies

    def _user_of_proxy(self, request: Request, names: Sequence[str], session: str) -> User | None:
        """Return the user whom a reverse proxy names; a second name would be one that it has not removed."""
        name, operators = names[0].strip(), self.settings.operators
        if not name or len(names) > 1 or not self._is_of_proxy(request):
            return None
        named = name in operators or EVERYONE in operators
        return User(name, self._role(OPERATOR if named else VIEWER), session)

    def _session_role(self, session: str) -> str:
        role = session.split(".")[1] if session else ""
        return self._role(role) if role in (OPERATOR, VIEWER) else ""

    def _role(self, role: str) -> str:
        return VIEWER if self.settings.read_only else role

    def _signature(self, text: str) -> str:
        return hmac.new(self._key, text.encode("utf-8", "replace"), sha256).hexdigest()


def same(known: str, given: str) -> bool:
    """Return whether two texts are equal, in a time that says nothing about how much of them is."""
    return hmac.compare_digest(known.encode("utf-8", "replace"), given.encode("utf-8", "replace"))
