"""The pages that ask before an action, and carry it out: each is logged, with who did what to how many."""

from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from domainstream.telemetry import Signal, emit
from domainstream.tools.dashboard.access import Access
from domainstream.tools.dashboard.actions import Actions, Chosen, Plan
from domainstream.tools.dashboard.facts import Facts
from domainstream.tools.dashboard.failures import FailureSamples
from domainstream.tools.dashboard.forms import done, read_form
from domainstream.tools.dashboard.outbox_pages import RETRY, retry_plan
from domainstream.tools.dashboard.rendering import page

PARAMETERS: Final = ("queue", "group", "job", "key", "channel", "letter", "outbox")
"""What an action may be about."""


class ActionPages:
    """The pages that ask before an action, and carry it out."""

    def __init__(self, facts: Facts, samples: FailureSamples, access: Access) -> None:
        """Carry out with `facts` and `samples` what operators may do, as `access` says."""
        self._facts = facts
        self._samples = samples
        self._access = access
        self._actions = Actions(facts, samples)

    async def confirm(self, request: Request) -> Response:
        """Show what an action would do, and ask."""
        self._require_operator(request)
        chosen = {name: request.query_params.get(name, "") for name in PARAMETERS}
        plan = await self._planned(request, chosen)
        context = {"plan": plan, "action": request.path_params["action"], "chosen": chosen, "has_changed": False}
        return page(request, "confirm.html", context)

    async def carry_out(self, request: Request) -> Response:
        """Do what was agreed to, log it, and say what became of it."""
        self._require_operator(request)
        form = await read_form(request)
        if not self._access.is_own_form(request, request.state.user, form):
            raise HTTPException(403, "The form has expired. Go back, reload the page, and try again.")
        chosen = {name: form.get(name, "") for name in PARAMETERS}
        plan, action = await self._planned(request, chosen), request.path_params["action"]
        if str(plan.chosen) != form.get("count"):
            context = {"plan": plan, "action": action, "chosen": chosen, "has_changed": True}
            return page(request, "confirm.html", context, status=409)
        changed = await plan.run()
        emit(
            Signal.DASHBOARD_ACTION,
            user=request.state.user.name,
            action=action,
            target=plan.target,
            chosen=plan.chosen,
            changed=changed,
        )
        self._facts.forget()
        if form.get("queue"):
            self._samples.forget(form["queue"])
        rest = "" if changed >= plan.chosen else " The others had changed meanwhile."
        return done(request, self._access, plan.back, f"{changed:,} of {plan.chosen:,} {plan.done}.{rest}")

    async def _planned(self, request: Request, chosen: Chosen) -> Plan:
        action = request.path_params["action"]
        if action == RETRY:
            plan = await retry_plan(self._facts.outboxes, chosen)
        else:
            plan = await self._actions.plan(action, chosen)
        if plan is None:
            raise HTTPException(404, "There is nothing left to do here: it has changed meanwhile.")
        return plan

    def _require_operator(self, request: Request) -> None:
        if not request.state.user.is_operator:
            raise HTTPException(403, "Only operators may change something. You may look at everything.")
