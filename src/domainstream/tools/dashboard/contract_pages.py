"""The pages of the contracts: each event in plain words, its versions, what has changed, and the catalogue."""

from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from domainstream.tools.dashboard.cached import Cached
from domainstream.tools.dashboard.contracts import ENTRIES, JOBS, Contract, contracts_of, read_in_flight
from domainstream.tools.dashboard.facts import Facts
from domainstream.tools.dashboard.rendering import page
from domainstream.tools.docgen.catalog import STATIC, linked_catalog
from domainstream.tools.docgen.project_entries import entries_of

SECONDS: Final = 60
"""For how long the versions in flight are kept: they are read from every stream and queue."""


class ContractPages:
    """The pages of the contracts. Each is a method that answers a request."""

    def __init__(self, facts: Facts) -> None:
        """Show `facts`."""
        self._facts = facts
        self.in_flight = Cached(lambda: read_in_flight(facts), seconds=SECONDS)
        """The versions that are still stored."""
        self.routes: list[BaseRoute] = [
            Route("/contracts", self.contracts),
            Route("/contracts/{event_type}", self.contract),
            Route("/catalogue", self.catalogue),
            # Below "static", so that who is not signed in gets the look of the page and nothing else.
            Mount("/static/catalogue", StaticFiles(directory=STATIC)),
        ]
        """Where they are."""

    async def contracts(self, request: Request) -> Response:
        """List the events with their versions, and what has changed."""
        found = await self._contracts()
        context = {"contracts": found, **self._sample()}
        return page(request, "contracts.html", context)

    async def contract(self, request: Request) -> Response:
        """Show an event: its fields, its versions, what has changed, and who gets it."""
        event_type = request.path_params["event_type"]
        found = {contract.entry.value: contract for contract in await self._contracts() or ()}
        if event_type not in found:
            raise HTTPException(404, f"The code that the dashboard reads has no channel {event_type}.")
        names = await self._facts.names.get()
        context = {
            "contract": found[event_type],
            "streams": [name for name in names.channels if name.partition(":")[0] == event_type],
            "queues": set(names.queues),
            **self._sample(),
        }
        return page(request, "contract.html", context)

    async def catalogue(self, request: Request) -> Response:
        """Show the catalogue, as `domainstream docs catalog` writes it, of the code that the dashboard reads."""
        projects = await self._facts.project.get()
        if not projects:
            return page(request, "contracts.html", {"contracts": None, **self._sample()})
        base = request.scope.get("root_path", "").rstrip("/")
        text = linked_catalog(
            entries_of(projects[0]),
            title="Domain events",
            files=f"{base}/static/catalogue",
            home=f"{base}/contracts",
            icon=f"{base}/static/icon.svg",
        )
        return HTMLResponse(text, headers={"cache-control": "no-store"})

    async def _contracts(self) -> list[Contract] | None:
        """Return the contracts; None without the system's code."""
        projects = await self._facts.project.get()
        return contracts_of(projects[0], await self.in_flight.get()) if projects else None

    def _sample(self) -> dict[str, int]:
        return {"most_entries": ENTRIES, "most_jobs": JOBS, "age_ms": self.in_flight.age_ms}
