"""`domainstream exporter`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Final

import click

import domainstream
from domainstream.cli import LAST_STEPS
from domainstream.cli.common.command import (
    BullPrefix,
    DatabaseUrl,
    Debug,
    RedisUrl,
    SchemaName,
    StreamPrefix,
    TableName,
    local_command,
    option,
)
from domainstream.cli.common.durations import Duration
from domainstream.cli.common.terminal import Terminal
from domainstream.errors import ServerNotFoundError
from domainstream.redis.keys import prefix_problem
from domainstream.tools.metrics.source import Source
from domainstream.tools.serving.program import Program
from domainstream.validation import raise_problems

CONNECT_TIMEOUT: Final = 5.0
"""Seconds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExporterOptions:
    """The options of `exporter`."""

    host: Annotated[str, option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")]
    """The address to listen at."""

    port: Annotated[
        int,
        option(
            "--port", type=click.IntRange(0, 65535), default=9790, show_default=True, help="The port; 0 for a free one."
        ),
    ]
    """The port; 0 for a free one."""

    every: Annotated[
        timedelta,
        option("--every", type=Duration(), default="5s", show_default=True, help="Collect at most this often."),
    ]
    """The time for which a collection is served again."""

    search_every: Annotated[
        timedelta,
        option(
            "--search-every",
            type=Duration(),
            default="5m",
            show_default=True,
            help="Look this often for new channels and queues, which scans all keys.",
        ),
    ]
    """How often new channels and queues are looked for."""

    redis_url: RedisUrl
    """The server's URL; None for no server."""

    prefix: StreamPrefix
    """The prefix of all stream keys."""

    bull_prefix: BullPrefix
    """The prefix of all BullMQ keys."""

    database_url: DatabaseUrl
    """The database's URL; None for no outbox."""

    table: TableName
    """The table of the outbox."""

    schema: SchemaName
    """The table's schema; None for the default one."""

    log_format: Annotated[
        str, option("--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True)
    ]
    """`text` or `json`."""

    quiet: Annotated[bool, option("-q", "--quiet", is_flag=True, help="Log only warnings and errors.")]
    """Whether only warnings and errors are logged."""

    debug: Debug
    """Whether an error shows its traceback."""


@local_command(ExporterOptions)
def exporter(_terminal: Terminal, options: ExporterOptions) -> int:
    """Serve metrics of streams, groups, queues and an outbox to Prometheus.

    GET /metrics has the age of the oldest unhandled event of each channel and queue, their sizes, held keys, dead
    letters, and the backlog of the outbox. It looks at the servers when it is asked, at most every 5 seconds; one that
    does not answer is in the metrics and in the log. It runs until SIGTERM or Ctrl-C.

    Exit codes: 0 after SIGTERM, 130 after Ctrl-C.
    """
    from domainstream.tools.metrics.exporter import Exporter
    from domainstream.tools.serving.exit_deadline import exit_despite_leftovers
    from domainstream.tools.serving.logs import set_up_logs
    from domainstream.tools.serving.serving import Serving, run_until_stopped

    if not options.redis_url and not options.database_url:
        raise ServerNotFoundError("no server is configured; run: export REDIS_URL=redis://localhost:6379")

    def build(named: Any) -> Program | None:
        if named is not Exporter:
            return None
        return Exporter(_sources(options), every=options.every, search_every=options.search_every)

    set_up_logs(as_json=options.log_format == "json", quiet=options.quiet, verbose=0)
    serving = Serving(
        target=f"{Exporter.__module__}:{Exporter.__name__}",
        folder=Path(domainstream.__file__).parents[1],
        redis_url=None,
        prefix=options.prefix,
        database_url=None,
        health_port=options.port,
        health_host=options.host,
        port_option="--port",
    )
    LAST_STEPS.append(exit_despite_leftovers)
    return run_until_stopped(serving, build)


def _sources(options: ExporterOptions) -> Sequence[Source]:
    from domainstream.redis.nodes import RedisNodes
    from domainstream.tools.metrics.redis_source import RedisSource

    sources: list[Source] = []
    if options.redis_url:
        raise_problems("The prefix", [prefix_problem(options.prefix)])
        nodes = RedisNodes.open(options.redis_url, socket_connect_timeout=CONNECT_TIMEOUT)
        sources.append(RedisSource(nodes, prefix=options.prefix, bull_prefix=options.bull_prefix))
    if options.database_url:
        from domainstream.outbox.sql.database import OutboxDatabase
        from domainstream.tools.metrics.outbox_source import OutboxSource

        database = OutboxDatabase.from_url(options.database_url, table=options.table, schema=options.schema)
        sources.append(OutboxSource(database))
    return sources
