"""What a dashboard shows, and to whom."""

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from domainstream.publisher import Retention
from domainstream.tools.dashboard.outboxes import DashboardOutbox
from domainstream.validation import raise_problems

OPERATOR_TOKEN_VARIABLE: Final = "DOMAINSTREAM_UI_OPERATOR_TOKEN"  # noqa: S105 - a variable's name
"""The variable with the token of operators, who may change something."""

PORT: Final = 8765
"""The port at which a dashboard listens by default."""

VIEWER_TOKEN_VARIABLE: Final = "DOMAINSTREAM_UI_VIEWER_TOKEN"  # noqa: S105 - a variable's name
"""The variable with the token of viewers, who may only look."""

SHORTEST_TOKEN: Final = 16
"""The fewest characters of a token, because anybody may try some."""

EVERYONE: Final = "*"
"""Makes every user an operator."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AccessSettings:
    """Who may see the dashboard, and who may change something.

    Without tokens and a header, everybody who reaches it may do both: that is for your own machine.
    """

    operator_token: str = field(default="", repr=False)
    """Makes whoever has it an operator; empty for none."""

    viewer_token: str = field(default="", repr=False)
    """Lets whoever has it look; empty for none."""

    user_header: str = ""
    """The header in which a reverse proxy names the user whom it has authenticated; empty for none."""

    operators: frozenset[str] = frozenset()
    """The users named in that header who are operators, the others being viewers; `*` for all."""

    trusted_proxies: frozenset[str] = frozenset({"127.0.0.1", "::1"})
    """The addresses of the reverse proxies whose header is believed."""

    read_only: bool = False
    """Whether nobody is an operator."""

    def __post_init__(self) -> None:
        """Raise `ConfigurationError` for settings that would let the wrong people in."""
        raise_problems("The dashboard's access", [*self._problems()])

    @property
    def is_open(self) -> bool:
        """Whether nobody has to say who they are."""
        return not (self.operator_token or self.viewer_token or self.user_header)

    def _problems(self) -> Iterator[str | None]:
        for variable, token in (
            (OPERATOR_TOKEN_VARIABLE, self.operator_token),
            (VIEWER_TOKEN_VARIABLE, self.viewer_token),
        ):
            if token and len(token) < SHORTEST_TOKEN:
                make = "python -c 'import secrets; print(secrets.token_urlsafe())'"
                yield f"{variable} must have at least {SHORTEST_TOKEN} characters; to make a token, run: {make}"
        if self.operator_token and self.operator_token == self.viewer_token:
            yield f"{OPERATOR_TOKEN_VARIABLE} and {VIEWER_TOKEN_VARIABLE} must differ"
        if self.operators and not self.user_header:
            yield "operators are named, but no header that names users"


@dataclass(frozen=True, kw_only=True, slots=True)
class DashboardSettings:
    """What a dashboard shows."""

    redis_url: str = field(repr=False)
    """The URL of the server."""

    prefix: str = ""
    """The prefix of all stream keys."""

    bull_prefix: str = "bull"
    """The prefix of all BullMQ keys."""

    system: Path | None = None
    """The folder of the system whose code is compared with the server, and is not imported; None for none."""

    outboxes: tuple[DashboardOutbox, ...] = ()
    """The outboxes that are shown, and closed with the dashboard."""

    retention: Retention = field(default_factory=Retention)
    """The retention of the publishers, which the server does not know: from it follows which group may lose entries."""

    access: AccessSettings = AccessSettings()
    """Who may see it."""

    masked: frozenset[str] = frozenset({"password", "secret", "token"})
    """The names of the fields of payloads whose values are not shown, in lower case."""

    sample: int = 2_000
    """How many failed jobs of each queue are read, the newest ones, to group them by cause."""

    trace_url: str = ""
    """The address of a trace in a tracing backend, with `{trace_id}` in it; empty for none."""

    search_limit: int = 20_000
    """How many entries of each stream, and jobs of each queue, are searched for a story."""

    def __post_init__(self) -> None:
        """Raise `ConfigurationError` for an address of traces that leads to none."""
        is_valid = self.trace_url.startswith(("http://", "https://")) and "{trace_id}" in self.trace_url
        problem = f"trace_url is {self.trace_url}, expected an address such as https://tempo.example.com/{{trace_id}}"
        raise_problems("The dashboard's settings", [problem if self.trace_url and not is_valid else None])


def require_private(host: str, access: AccessSettings) -> None:
    """Raise `ConfigurationError` if an address can be reached from elsewhere and nobody has to say who they are."""
    if is_loopback(host) or not access.is_open:
        return
    problem = (
        f"{host} can be reached from other machines, and nobody would have to say who they are; set "
        f"{OPERATOR_TOKEN_VARIABLE} or {VIEWER_TOKEN_VARIABLE}, or name the header of your reverse proxy: --user-header"
    )
    raise_problems("The dashboard's address", [problem])


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches a host."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
