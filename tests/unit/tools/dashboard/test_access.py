"""Who may see the dashboard, and who may change something."""

from typing import Any

import pytest
from starlette.requests import Request

from domainstream.errors import ConfigurationError
from domainstream.tools.dashboard.access import COOKIE, Access, User
from domainstream.tools.dashboard.settings import AccessSettings, require_private

OPERATOR, VIEWER = "operator-token-0123456789", "viewer-token-0123456789"
TOKENS = AccessSettings(operator_token=OPERATOR, viewer_token=VIEWER)
PROXY = AccessSettings(user_header="X-User", operators=frozenset({"ada"}))


def request(host: str = "localhost", client: str = "127.0.0.1", **headers: str) -> Request:
    """Return a request with these headers."""
    named = {"host": host, **{name.replace("_", "-"): value for name, value in headers.items()}}
    raw = [(name.encode(), value.encode("latin-1")) for name, value in named.items()]
    return Request(
        {"type": "http", "headers": raw, "client": (client, 1234), "path": "/", "query_string": b"", "scheme": "http"}
    )


def role(access: AccessSettings, **headers: Any) -> str | None:
    """Return the role of who sends such a request; None for nobody."""
    user = Access(access).user_of(request(**headers))
    return user.role if user else None


@pytest.mark.parametrize(("token", "expected"), [(OPERATOR, "operator"), (VIEWER, "viewer"), ("another", None)])
def test_token_gives_its_role(token: str, expected: str | None) -> None:
    """Whoever sends a token has the role that it stands for, and a wrong token is nobody's."""
    assert role(TOKENS, authorization=f"Bearer {token}") == expected


def test_nobody_is_let_in_without_a_token_if_there_are_tokens() -> None:
    """A request without any sign of who sends it is a stranger's."""
    assert role(TOKENS) is None


def test_own_machine_needs_no_token() -> None:
    """Without tokens and a header, whoever asks is an operator."""
    assert role(AccessSettings()) == "operator"


@pytest.mark.parametrize(("name", "expected"), [("ada", "operator"), ("bob", "viewer")])
def test_proxy_names_the_user(name: str, expected: str) -> None:
    """The header of a reverse proxy names the user, who is an operator if the settings say so."""
    assert role(PROXY, x_user=name) == expected


def test_header_of_anybody_else_is_not_believed() -> None:
    """The header counts only if it comes from the reverse proxy."""
    assert role(PROXY, client="192.0.2.7", x_user="ada") is None


def test_star_makes_every_user_an_operator() -> None:
    """One word lets all users change something."""
    assert role(AccessSettings(user_header="X-User", operators=frozenset({"*"})), x_user="bob") == "operator"


def test_read_only_dashboard_has_no_operators() -> None:
    """Nobody may change anything, whatever their token."""
    settings = AccessSettings(operator_token=OPERATOR, read_only=True)
    assert role(settings, authorization=f"Bearer {OPERATOR}") == "viewer"


def test_session_keeps_its_role() -> None:
    """The cookie of a session stands for the token with which it began."""
    access = Access(TOKENS)
    user = access.user_of(request(cookie=f"{COOKIE}={access.signed(COOKIE, access.new_session('viewer'))}"))
    assert user is not None
    assert user.role == "viewer"


def test_session_that_somebody_else_has_signed_is_nobodys() -> None:
    """A cookie without our signature, or with that of another process, does not count."""
    access = Access(TOKENS)
    forged = Access(TOKENS).signed(COOKIE, access.new_session("operator"))
    assert access.user_of(request(cookie=f"{COOKIE}={forged}")) is None


def test_signature_of_another_cookie_makes_no_session() -> None:
    """A text that was signed for another purpose is no session, whatever it says."""
    access = Access(TOKENS)
    signed = access.signed("another", access.new_session("operator"))
    assert access.user_of(request(cookie=f"{COOKIE}={signed}")) is None


def test_session_expires() -> None:
    """A session whose time is over does not count."""
    access = Access(TOKENS)
    assert access.user_of(request(cookie=f"{COOKIE}={access.signed(COOKIE, '1.operator.x')}")) is None


def test_cookie_of_any_bytes_is_nobodys() -> None:
    """What is not even text in a cookie is no error."""
    assert role(TOKENS, cookie=f"{COOKIE}=é.é") is None


@pytest.mark.parametrize(("host", "expected"), [("localhost:8765", False), ("[::1]:1", False), ("evil.example", True)])
def test_open_dashboard_answers_only_to_names_of_this_machine(host: str, *, expected: bool) -> None:
    """A page elsewhere whose name leads here cannot use a dashboard that asks nobody who they are."""
    assert Access(AccessSettings()).is_misdirected(request(host)) is expected


def test_form_belongs_to_its_session() -> None:
    """The form of another session is not accepted."""
    access = Access(TOKENS)
    mine, other = User("operator", "operator", "1"), {"form_token": access.form_token("2")}
    assert not access.is_own_form(request(), mine, other)


def test_browser_that_signs_in_at_a_proxy_still_needs_our_form() -> None:
    """A browser sends a password to a proxy by itself, also with the form of another site."""
    access = Access(PROXY)
    sent = request(x_user="ada", authorization="Basic YWRhOnNlc2FtZQ==")
    user = access.user_of(sent)
    assert user is not None
    assert not access.is_own_form(sent, user, {})


def test_program_needs_no_form() -> None:
    """No page elsewhere can make a browser send a token."""
    access, sent = Access(TOKENS), request(authorization=f"Bearer {OPERATOR}")
    user = access.user_of(sent)
    assert user is not None
    assert access.is_own_form(sent, user, {})


def test_two_names_of_a_proxy_are_nobody() -> None:
    """A header that the proxy has not removed before it added its own does not count."""
    sent = request()
    sent.scope["headers"] += [(b"x-user", b"ada"), (b"x-user", b"bob")]
    assert Access(PROXY).user_of(sent) is None


@pytest.mark.parametrize(("client", "expected"), [("127.0.0.1", True), ("192.0.2.7", False)])
def test_proxy_says_that_it_was_asked_over_tls(client: str, *, expected: bool) -> None:
    """Cookies are kept to TLS if the reverse proxy has it."""
    assert Access(PROXY).is_secure(request(client=client, x_forwarded_proto="https")) is expected


def test_form_of_another_site_is_not_accepted() -> None:
    """A browser says where a form comes from, and only our own pages count."""
    access, mine = Access(TOKENS), User("operator", "operator", "1")
    form = {"form_token": access.form_token("1")}
    assert access.is_own_form(request(sec_fetch_site="same-origin"), mine, form)
    assert not access.is_own_form(request(sec_fetch_site="cross-site"), mine, form)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_own_machine_may_be_served_without_authentication(host: str) -> None:
    """Addresses of this machine need no token."""
    require_private(host, AccessSettings())


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "dashboard.example"])  # noqa: S104 - refused
def test_public_address_is_refused_without_authentication(host: str) -> None:
    """Any other address is refused, with what to set."""
    with pytest.raises(ConfigurationError, match="DOMAINSTREAM_UI_OPERATOR_TOKEN"):
        require_private(host, AccessSettings())


def test_public_address_is_served_with_a_token() -> None:
    """With a token, any address may be served."""
    require_private("0.0.0.0", TOKENS)  # noqa: S104 - not opened


@pytest.mark.parametrize(
    "settings",
    [
        {"operator_token": "short"},
        {"operator_token": OPERATOR, "viewer_token": OPERATOR},
        {"operators": frozenset({"ada"})},
    ],
)
def test_access_that_would_let_the_wrong_people_in_is_refused(settings: dict[str, Any]) -> None:
    """Short tokens, one token for both roles, and operators whom nothing names are refused."""
    with pytest.raises(ConfigurationError):
        AccessSettings(**settings)


def test_tokens_are_not_in_the_text_of_settings() -> None:
    """Settings in a log or a traceback do not show tokens."""
    assert OPERATOR not in repr(TOKENS)
