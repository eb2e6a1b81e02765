"""The dashboard of the demo, in a process of its own: `python -m domainstream.tools.demo.ui_child ui`.

It is a module of its own, so that a demo without a dashboard needs no web server.
"""

import asyncio
import sys

from coding.infrastructure_layer.events.coding_outbox import outbox
from domainstream.tools.dashboard import DashboardSettings
from domainstream.tools.dashboard.serving import listen, serve_until_cancelled
from domainstream.tools.dashboard.settings import PORT
from domainstream.tools.dashboard.sql_outbox import SqlOutbox
from domainstream.tools.demo.child import Program, run_child
from domainstream.tools.demo.prerequisites import monorepo
from domainstream.tools.demo.protocol import ChildSettings
from domainstream.tools.demo.reporting import Reporter

HOST = "127.0.0.1"


async def ui(settings: ChildSettings, reporter: Reporter, _go: asyncio.Event) -> None:
    """Show the run in a browser: at the usual port or, where that is taken, at another one."""
    shown = DashboardSettings(
        redis_url=settings.url,
        prefix=settings.stream_prefix,
        bull_prefix=settings.bull_prefix,
        system=monorepo(),
        outboxes=(SqlOutbox.from_url(settings.database_url, table=outbox.table.name),),
    )
    try:
        listening = listen(HOST, PORT)
    except OSError:
        listening = listen(HOST, 0)

    def report() -> None:
        reporter.pending.dashboard = f"http://{HOST}:{listening.getsockname()[1]}/"
        reporter.pending.ready = True

    await serve_until_cancelled(shown, listening, ready=report)


PROGRAMS: dict[str, Program] = {ui.__name__: ui}

if __name__ == "__main__":
    run_child(PROGRAMS[sys.argv[1]])
