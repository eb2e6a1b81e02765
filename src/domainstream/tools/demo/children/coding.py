"""The coding process: hands in stays, and handles the events of screenflow and valuation."""

import asyncio
from itertools import islice

from coding.application_layer.hand_in_stays import hand_in_stays
from coding.bootstrap import Coding, wire
from coding.synthetic_stays import synthetic_stays
from domainstream import Outcome
from domainstream.tools.demo.children.child import run_child
from domainstream.tools.demo.children.reporter import Reporter
from domainstream.tools.demo.children.service import handle_events, open_publisher
from domainstream.tools.demo.settings import ChildSettings

_STAYS_AT_ONCE = 5


async def work(settings: ChildSettings, reporter: Reporter, go: asyncio.Event) -> None:
    """Serve until cancelled."""
    async with open_publisher(settings, reporter) as publisher, asyncio.TaskGroup() as tasks:
        coding = wire(publisher)
        tasks.create_task(handle_events(coding.consumer, settings, reporter))
        tasks.create_task(_hand_in(coding, settings, reporter, go))


async def _hand_in(coding: Coding, settings: ChildSettings, reporter: Reporter, go: asyncio.Event) -> None:
    """Hand in all stays at a steady rate: each group is due at a fixed time, however long the previous one took."""
    await go.wait()
    now = asyncio.get_running_loop().time
    stays = synthetic_stays(settings.events, settings.seed)
    due = now()
    while group := list(islice(stays, _STAYS_AT_ONCE)):
        receipts = await hand_in_stays(group, producer=coding.producer, known=coding.stays)
        reporter.pending.not_published += sum(receipt.outcome is Outcome.NOT_PUBLISHED for receipt in receipts)
        due += len(group) / settings.stays_per_second
        await asyncio.sleep(max(0.0, due - now()))
    reporter.pending.finished = True


if __name__ == "__main__":
    run_child(work)
