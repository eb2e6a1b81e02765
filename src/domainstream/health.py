"""Whether a program could do its work now: one answer for publisher, subscriber and worker alike."""

from datetime import timedelta
from typing import Protocol, runtime_checkable

from msgspec import Struct


class Health(Struct, frozen=True, kw_only=True):
    """A program's answer to a health check."""

    ok: bool
    """Whether it could do its work now."""

    problem: str | None = None
    """What is wrong; None when it is well."""

    round_trip: timedelta | None = None
    """How long the server took to answer; None when it was not asked or did not answer."""


@runtime_checkable
class HasHealth(Protocol):
    """What can be asked how it is."""

    async def health(self) -> Health:
        """Return whether it could do its work now; never raises."""
        ...
