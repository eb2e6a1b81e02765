"""The outboxes that a dashboard shows, by the inspection that `outbox status` uses."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from domainstream.errors import ConfigurationError, MissingExtraError, OutboxError, OutboxUnavailableError
from domainstream.tools.dashboard.cached import Cached
from domainstream.tools.dashboard.settings import OutboxPlace

if TYPE_CHECKING:  # the extra `outbox` is needed only by those who have one
    from domainstream.outbox.sql.database import OutboxDatabase
    from domainstream.outbox.sql.inspection import OutboxStatus

PATIENCE: Final = 3.0
"""Seconds that a page waits for a database."""


class OutboxFacts(Struct, frozen=True, kw_only=True):
    """An outbox, or why it could not be looked at."""

    name: str
    """What it is known by: its database and its table."""

    status: "OutboxStatus | None"
    """What it looks like; None if that could not be read."""

    problem: str
    """Why it could not be read; empty if it was."""


class ShownOutbox:
    """One outbox. For the tasks of one event loop."""

    def __init__(self, database: "OutboxDatabase") -> None:
        """Show the outbox of `database`."""
        self.database = database
        """The connections to it."""
        self.name = f"{database.name} at {database.place}"
        """What it is known by: its table and its database, without user and password."""
        self.status = Cached(self._status, seconds=1)
        """What it looks like."""

    async def facts(self) -> OutboxFacts:
        """Look at it, for no longer than a page waits."""
        try:
            async with asyncio.timeout(PATIENCE):
                return OutboxFacts(name=self.name, status=await self.status.get(), problem="")
        except TimeoutError:
            problem = f"the database did not answer within {PATIENCE:g} s"
        except OutboxError as error:
            problem = str(error)
        return OutboxFacts(name=self.name, status=None, problem=problem)

    async def _status(self) -> "OutboxStatus":
        if self.database.is_missing:
            raise OutboxUnavailableError(f"there is no database {self.database.file}")
        return await self.database.inspection.status()


class Outboxes:
    """The outboxes that a dashboard shows."""

    def __init__(self, places: Sequence[OutboxPlace]) -> None:
        """Show the outboxes at `places`; they are connected to when somebody looks.

        One that cannot be opened says why: the variable `DATABASE_URL` may be that of something else.
        """
        self._shown: list[ShownOutbox] = []
        self._unopened: list[OutboxFacts] = []
        for place in places:
            try:
                self._shown.append(ShownOutbox(_open(place)))
            except (ConfigurationError, MissingExtraError, OutboxError) as error:
                self._unopened.append(OutboxFacts(name=place.table, status=None, problem=str(error)))

    async def all(self) -> list[OutboxFacts]:
        """Look at all of them at once; one that cannot be read says why."""
        return [*await asyncio.gather(*(shown.facts() for shown in self._shown)), *self._unopened]

    def named(self, name: str) -> ShownOutbox | None:
        """Return the outbox that is known by a name; None if there is none."""
        return next((shown for shown in self._shown if shown.name == name), None)

    def forget(self) -> None:
        """Look at all of them anew next time: something has been changed."""
        for shown in self._shown:
            shown.status.forget()

    async def close(self) -> None:
        """Close the connections."""
        for shown in self._shown:
            await shown.database.close()


def _open(place: OutboxPlace) -> "OutboxDatabase":
    from domainstream.outbox.sql.database import OutboxDatabase  # noqa: PLC0415 - an extra

    return OutboxDatabase.from_url(place.url, table=place.table, schema=place.schema)
