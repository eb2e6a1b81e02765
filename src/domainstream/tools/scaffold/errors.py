"""Errors of `domainstream new`; each leaves the project unchanged."""

from domainstream.errors import DomainStreamError, ProblemsError


class RefusedError(ProblemsError):
    """The request breaks a rule, or conflicts with existing code."""


class UnknownNameError(DomainStreamError):
    """A name on the command line does not exist in the project."""


class MisspeltError(DomainStreamError):
    """An argument cannot be parsed."""


class CannotEditError(DomainStreamError):
    """Code has a form that cannot be edited in place."""

    def __init__(self, path: str, what: str, by_hand: str, line: int | None = None) -> None:
        place = path if line is None else f"{path}:{line}"
        super().__init__(f"{place}: {what}. Do this step by hand, then run the command again: {by_hand}")
