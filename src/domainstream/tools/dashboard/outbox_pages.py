"""The page that shows outboxes, and what operators may do about one."""

from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from domainstream.errors import OutboxError
from domainstream.tools.common.formatting import plural
from domainstream.tools.dashboard.actions import Chosen, Plan
from domainstream.tools.dashboard.facts import Facts
from domainstream.tools.dashboard.outboxes import Outboxes, ShownOutbox
from domainstream.tools.dashboard.rendering import page, path_to

CHANNELS: Final = 20
"""How many channels of a backlog are listed, those with the most rows."""

LATE_MS: Final = 60_000
"""From which age on a row that waits is a warning."""

RETRY: Final = "retry-channels"
"""The action that tries held channels at once."""


class OutboxPages:
    """The page of outboxes."""

    def __init__(self, facts: Facts) -> None:
        """Show the outboxes of `facts`."""
        self._facts = facts

    def routes(self) -> list[Route]:
        """Return where the page is."""
        return [Route("/outbox", self.outbox)]

    async def outbox(self, request: Request) -> Response:
        """Show what waits in each outbox, who publishes it, and what is held."""
        context = {
            "outboxes": await self._facts.outboxes.all(),
            "known": set((await self._facts.names.get()).channels),
            "channels_listed": CHANNELS,
            "late_ms": LATE_MS,
        }
        return page(request, "outbox.html", context)


async def retry_plan(outboxes: Outboxes, chosen: Chosen) -> Plan | None:
    """Return the plan of trying a held channel at once, or all of an outbox; None if none is held."""
    outbox = outboxes.named(chosen["outbox"])
    if outbox is None:
        return None
    status = (await outbox.facts()).status
    held = [one for one in status.held if chosen["channel"] in ("", one.channel)] if status else []
    if status is None or not held:
        return None
    names = [one.channel for one in held]
    what = names[0] if len(names) == 1 else plural(len(names), "held channel")
    rows = plural(sum(one.rows for one in held), "row")
    active = status.relay.is_active
    relay = "The active relay tries it in its next turn." if active else "No relay is active: start one to try it."
    return Plan(
        question=f"Try {what} again at once?",
        button="Retry",
        consequences=("Fix the cause first.", f"Held back in order: {rows}. {relay}"),
        target=f"{outbox.outbox.name} {names[0] if len(names) == 1 else ''}".strip(),
        chosen=len(names),
        run=lambda: _retry(outbox, names),
        done="retried",
        back=path_to("outbox"),
    )


async def _retry(outbox: ShownOutbox, channels: list[str]) -> int:
    try:
        return await outbox.outbox.retry(channels)
    except OutboxError as error:
        raise HTTPException(503, str(error)) from None
