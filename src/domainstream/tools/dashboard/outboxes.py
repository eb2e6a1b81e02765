"""The outboxes that a dashboard shows. Without the extra `outbox`, which is needed only by those who have one."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final, Protocol

from msgspec import Struct

from domainstream.errors import OutboxError
from domainstream.tools.dashboard.cached import Cached

PATIENCE: Final = 3.0
"""Seconds that a page waits for a database."""


class DashboardOutbox(Protocol):
    """An outbox that a dashboard can show; `SqlOutbox` is one. For the tasks of one event loop.

    The dashboard closes it. `status` and `retry` raise `OutboxError`.
    """

    name: str
    """What it is known by, without a password; no other outbox of the dashboard has it."""

    async def status(self) -> Any:
        """Return what it looks like now: an `OutboxStatus`."""
        ...

    async def retry(self, channels: Sequence[str]) -> int:
        """Let these held channels be tried at once, and return how many were held."""
        ...

    async def close(self) -> None:
        """Close its connections."""
        ...


class UnreadableOutbox:
    """An outbox that cannot be opened, and says why. Implements `DashboardOutbox`."""

    def __init__(self, name: str, problem: str) -> None:
        """Show `problem` in place of what it looks like."""
        self.name = name
        """What it is known by."""
        self._problem = problem

    async def status(self) -> Any:
        """Raise `OutboxError`."""
        raise OutboxError(self._problem)

    async def retry(self, channels: Sequence[str]) -> int:  # noqa: ARG002 - there is nothing to retry
        """Raise `OutboxError`."""
        raise OutboxError(self._problem)

    async def close(self) -> None:
        """Do nothing."""


class OutboxFacts(Struct, frozen=True, kw_only=True):
    """An outbox, or why it could not be looked at."""

    name: str
    """What it is known by."""

    status: Any
    """What it looks like, as an `OutboxStatus`; None if that could not be read."""

    problem: str
    """Why it could not be read; empty if it was."""


class ShownOutbox:
    """One outbox, looked at once for all viewers."""

    def __init__(self, outbox: DashboardOutbox) -> None:
        """Show `outbox`."""
        self.outbox = outbox
        """The outbox."""
        self._status = Cached[Any](outbox.status, seconds=1)

    async def facts(self) -> OutboxFacts:
        """Look at it, for no longer than a page waits."""
        try:
            async with asyncio.timeout(PATIENCE):
                return OutboxFacts(name=self.outbox.name, status=await self._status.get(), problem="")
        except TimeoutError:
            problem = f"the database did not answer within {PATIENCE:g} s"
        except OutboxError as error:
            problem = str(error)
        return OutboxFacts(name=self.outbox.name, status=None, problem=problem)

    def forget(self) -> None:
        """Look anew next time: something has been changed."""
        self._status.forget()


class Outboxes:
    """The outboxes that a dashboard shows."""

    def __init__(self, outboxes: Sequence[DashboardOutbox]) -> None:
        """Show `outboxes`; they are connected to when somebody looks."""
        self._shown = [ShownOutbox(outbox) for outbox in outboxes]

    async def all(self) -> list[OutboxFacts]:
        """Look at all of them at once; one that cannot be read says why."""
        return await asyncio.gather(*(shown.facts() for shown in self._shown))

    def named(self, name: str) -> ShownOutbox | None:
        """Return the outbox that is known by a name; None if there is none."""
        return next((shown for shown in self._shown if shown.outbox.name == name), None)

    def forget(self) -> None:
        """Look at all of them anew next time: something has been changed."""
        for shown in self._shown:
            shown.forget()

    async def close(self) -> None:
        """Close the connections."""
        for shown in self._shown:
            await shown.outbox.close()
