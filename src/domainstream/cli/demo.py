"""`domainstream demo`."""

from dataclasses import dataclass
from typing import Annotated

import click

from domainstream.cli.common import exit_codes as exits
from domainstream.cli.common.command import local_command, option
from domainstream.cli.common.terminal import Terminal
from domainstream.errors import DomainStreamError
from domainstream.tools.common.errors import InterruptedRunError

_SCHEMES = (
    *("redis://", "rediss://", "unix://"),
    *("redis+sentinel://", "rediss+sentinel://", "redis+cluster://", "rediss+cluster://"),
)


def _check_url(_context: click.Context, _option: click.Parameter, url: str | None) -> str | None:
    if url is not None and not url.startswith(_SCHEMES):
        raise click.BadParameter(
            "expected redis://host:port, rediss://host:port, unix:///path, redis+sentinel://host:port/name or "
            "redis+cluster://host:port"
        )
    return url


@dataclass(frozen=True, kw_only=True, slots=True)
class DemoOptions:
    """The options of `demo`."""

    events: Annotated[
        int | None,
        option(
            "--events",
            type=click.IntRange(min=1),
            help="How many medical stays to add; 1000 by default and, with --ui, as many as it can until Ctrl-C.",
        ),
    ]
    """How many medical stays to add; None for the default."""

    seed: Annotated[int, option("--seed", type=int, default=1, show_default=True, help="The seed of the stays.")]
    """The seed of the stays."""

    as_json: Annotated[bool, option("--json", is_flag=True, help="Print one JSON object instead of a table.")]
    """Whether stdout gets only one JSON object."""

    no_color: Annotated[
        bool, option("--no-color", is_flag=True, help="Print without colours, as with the variable NO_COLOR.")
    ]
    """Whether colours are left out."""

    sentinel: Annotated[
        bool,
        option("--sentinel", is_flag=True, help="Start a primary with replicas and sentinels, and kill the primary."),
    ]
    """Whether several servers are started, of which sentinels watch one."""

    cluster: Annotated[
        bool,
        option("--cluster", is_flag=True, help="Start a cluster of three primaries with replicas, and kill one."),
    ]
    """Whether a cluster is started."""

    unordered: Annotated[
        bool,
        option(
            "--unordered", is_flag=True, help="Leave out the rule that keeps events in order: see what it prevents."
        ),
    ]
    """Whether the events of an aggregate may overtake each other."""

    ui: Annotated[
        bool, option("--ui", is_flag=True, help="Show it in a browser, slowly, until Ctrl-C: see `domainstream ui`.")
    ]
    """Whether a dashboard is started."""

    redis_url: Annotated[
        str | None,
        option("--redis-url", metavar="URL", callback=_check_url, help="Use this server, not REDIS_URL or our own."),
    ]
    """The server to use; None finds or starts one."""

    @property
    def kind(self) -> str:
        """The kind of the servers, as `TopologyKind` names it."""
        return "sentinel" if self.sentinel else "cluster" if self.cluster else "single"


@local_command(DemoOptions, error_prefix="")
def demo(terminal: Terminal, options: DemoOptions) -> int:
    """Watch four services' events go from mapper to handler.

    Starts the services of the example monorepo as processes, adds medical stays, and counts every event from its
    publication to the end of its handler. Starts a server of its own unless --redis-url or REDIS_URL names one, whose
    keys of the demo are deleted at the end.

    Some stays are coded, coded again and cancelled while their first bill fails and is tried again. The later events
    wait; with --unordered, they overtake.

    With --sentinel, it starts a primary, 2 replicas and 3 sentinels, and kills the primary in the middle. With
    --cluster, it starts 3 primaries with a replica each, and kills the one that has the stream of the medical stays.

    With --ui, it shows the run in a browser until Ctrl-C, and adds ten stays a second. Some pricings fail there until
    you retry them.

    Exit codes: 0 everything was handled, 1 something failed or is missing, 3 no server, 130 Ctrl-C.
    """
    from domainstream.tools.demo.prerequisites import require_extras

    _refuse_contradictions(options)
    require_extras(options.redis_url, starts_servers=options.sentinel or options.cluster, has_dashboard=options.ui)
    import asyncio

    from domainstream.redis.topology import TopologyKind
    from domainstream.tools.demo.run import EVENTS, run_demo
    from domainstream.tools.demo.screen import DemoScreen

    # The screen also prints the errors of a run, in the colours and on the output of its table.
    screen = DemoScreen(no_color=options.no_color, stderr=options.as_json)
    try:
        with screen:
            outcome = asyncio.run(
                run_demo(
                    screen,
                    events=options.events or (None if options.ui else EVENTS),
                    seed=options.seed,
                    redis_url=options.redis_url,
                    kind=TopologyKind(options.kind),
                    in_order=not options.unordered,
                    has_dashboard=options.ui,
                )
            )
    except InterruptedRunError as interrupt:
        if options.ui:
            screen.say("The demo has ended; everything is cleaned up.")
            return exits.OK
        screen.warn("Interrupted; everything is cleaned up.")
        return exits.exit_code_of(interrupt)
    except DomainStreamError as error:
        screen.warn(str(error))
        return exits.exit_code_of(error)
    if options.as_json:
        terminal.json(outcome)
        for problem in outcome.problems:
            screen.warn(problem)
    else:
        screen.summarise(outcome)
    return exits.FAILED if outcome.problems else exits.OK


def _refuse_contradictions(options: DemoOptions) -> None:
    """Raise a usage error for options that exclude each other."""
    if (options.sentinel or options.cluster) and options.redis_url:
        raise click.UsageError("--sentinel and --cluster start servers of their own; leave --redis-url out")
    if options.sentinel and options.cluster:
        raise click.UsageError("choose --sentinel or --cluster")
