"""Why `domainstream new` changes nothing."""

from domainstream.errors import DomainStreamError, ProblemsError


class RefusedError(ProblemsError):
    """What was asked for breaks rules, or does not fit what is there."""


class UnknownNameError(DomainStreamError):
    """What was asked for does not exist."""


class MisspeltError(DomainStreamError):
    """An argument cannot be read."""


class CannotEditError(DomainStreamError):
    """Code has a shape that cannot be edited in place."""

    def __init__(self, path: str, what: str, by_hand: str) -> None:
        super().__init__(f"{path}: {what}. Do this step by hand, then type the command again: {by_hand}")
