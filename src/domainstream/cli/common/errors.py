"""Errors of the command line itself, and the exit code of every error."""

from collections.abc import Iterable
from typing import Final

from domainstream.cli.common import exit_codes as exits
from domainstream.errors import ConfigurationError, DomainStreamError, ServerNotFoundError, ServerUnavailableError
from domainstream.tools.common.suggestions import did_you_mean


class NotFoundError(DomainStreamError):
    """What the command was to look at does not exist."""

    @classmethod
    def of(cls, what: str, name: str, known: Iterable[str], *, where: str, look: str) -> "NotFoundError":
        """Name what is not there, what was perhaps meant, and the command `look` that lists what is there."""
        return cls(f"there is no {what} {name} {where}.{did_you_mean(name, known)} To see all, type: {look}")


class DeclinedError(DomainStreamError):
    """Somebody was asked, and did not agree."""


EXIT_CODES: Final = {
    NotFoundError: exits.NOT_FOUND,
    ConfigurationError: exits.USAGE,
    ServerNotFoundError: exits.UNREACHABLE,
    ServerUnavailableError: exits.UNREACHABLE,
}


def exit_code_of(error: DomainStreamError) -> int:
    """Return the exit code that tells scripts of `error`."""
    return next((code for kind, code in EXIT_CODES.items() if isinstance(error, kind)), exits.FAILED)
