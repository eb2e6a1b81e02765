"""`domainstream ui`."""

import logging
import os
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import click

from domainstream.cli.common.command import (
    BullPrefix,
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
from domainstream.errors import ConfigurationError, MissingExtraError, OutboxError, ServerNotFoundError


@dataclass(frozen=True, kw_only=True, slots=True)
class UiOptions:
    """The options of `ui`."""

    host: Annotated[
        str, option("--host", metavar="ADDRESS", default="127.0.0.1", show_default=True, help="Listen at this address.")
    ]
    """The address to listen at."""

    port: Annotated[
        int,
        option("--port", type=click.IntRange(0, 65535), default=8765, show_default=True, help="Listen at this port."),
    ]
    """The port to listen at."""

    redis_url: RedisUrl
    """The server's URL; None if none is configured."""

    prefix: StreamPrefix
    """The prefix of all stream keys."""

    bull_prefix: BullPrefix
    """The prefix of all BullMQ keys."""

    database_urls: Annotated[
        tuple[str, ...],
        option(
            "--database-url",
            metavar="URL",
            multiple=True,
            envvar="DATABASE_URL",
            show_envvar=True,
            help="Show the outbox of this database, PostgreSQL or SQLite; may be repeated.",
        ),
    ]
    """The databases whose outboxes are shown."""

    table: TableName
    """The table of each outbox."""

    schema: SchemaName
    """The schema of each table; None for the default one."""

    max_unread_age: Annotated[
        timedelta | None,
        option(
            "--max-unread-age",
            type=Duration(),
            help="How long your publishers let unread entries be kept, such as 24h; default: until they are read.",
        ),
    ]
    """The publishers' limit for the age of unread entries; None for none."""

    max_length: Annotated[
        int | None,
        option(
            "--max-length",
            type=click.IntRange(min=1),
            help="How many entries your publishers let a stream have; default: any number.",
        ),
    ]
    """The publishers' limit for the length of a stream; None for none."""

    system: Annotated[
        Path | None,
        option(
            "--system",
            type=click.Path(exists=True, file_okay=False, path_type=Path),
            help="Draw the map from the code in this folder, which is not imported, and show which jobs are missing.",
        ),
    ]
    """The folder of the system's code; None for none."""

    user_header: Annotated[
        str,
        option("--user-header", metavar="NAME", default="", help="The header in which a reverse proxy names the user."),
    ]
    """The header in which a reverse proxy names the user; empty for none."""

    operators: Annotated[
        tuple[str, ...],
        option(
            "--operator", metavar="USER", multiple=True, help="With --user-header: who may change something; * for all."
        ),
    ]
    """The users who may change something."""

    proxies: Annotated[
        tuple[str, ...],
        option(
            "--trusted-proxy",
            metavar="ADDRESS",
            multiple=True,
            default=("127.0.0.1", "::1"),
            show_default=True,
            help="With --user-header: the addresses whose header is believed.",
        ),
    ]
    """The addresses of the reverse proxies."""

    read_only: Annotated[bool, option("--read-only", is_flag=True, help="Let nobody change anything.")]
    """Whether nobody may change anything."""

    masked: Annotated[
        tuple[str, ...],
        option(
            "--mask",
            metavar="FIELD",
            multiple=True,
            default=("password", "secret", "token"),
            show_default=True,
            help="Do not show the values of payload fields of this name.",
        ),
    ]
    """The names of the payload fields whose values are not shown."""

    sample: Annotated[
        int,
        option(
            "--sample",
            type=click.IntRange(1, 100_000),
            default=2_000,
            show_default=True,
            help="How many failed jobs of each queue are grouped by cause, the newest ones.",
        ),
    ]
    """How many failed jobs of each queue are grouped by cause."""

    trace_url: Annotated[
        str,
        option(
            "--trace-url",
            metavar="URL",
            default="",
            help="Where your tracing backend shows a trace: https://tempo.example.com/trace/{trace_id}.",
        ),
    ]
    """Where a trace is shown; empty for nowhere."""

    search_limit: Annotated[
        int,
        option(
            "--search-limit",
            type=click.IntRange(min=1),
            default=20_000,
            show_default=True,
            help="How many entries of each stream, and jobs of each queue, are searched for a story.",
        ),
    ]
    """How many entries of each stream, and jobs of each queue, are searched for a story."""

    quiet: Annotated[bool, option("-q", "--quiet", is_flag=True, help="Do not print where it listens.")]
    """Whether it does not print where it listens."""

    debug: Debug
    """Whether an error shows its traceback."""


@local_command(UiOptions)
def ui(terminal: Terminal, options: UiOptions) -> None:
    """Show queues, failures, channels and stories in a browser, and repair them.

    By default it listens on this machine only, and whoever reaches it may do everything. For any other address, set a
    token in DOMAINSTREAM_UI_OPERATOR_TOKEN (whoever has it may change something) or DOMAINSTREAM_UI_VIEWER_TOKEN
    (whoever has it may look), or name the header in which your reverse proxy passes on the user: --user-header.

    Each action is logged with who did what: the signal `dashboard.action` on stderr.
    """
    from domainstream.tools.dashboard import AccessSettings, DashboardSettings
    from domainstream.tools.dashboard.serving import serve
    from domainstream.tools.dashboard.settings import OPERATOR_TOKEN_VARIABLE, VIEWER_TOKEN_VARIABLE
    from domainstream.tools.retention import limits_of

    if not options.redis_url:
        raise ServerNotFoundError("no server is configured; run: export REDIS_URL=redis://localhost:6379")
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s %(message)s", level=logging.WARNING)
    logging.getLogger("domainstream").setLevel(logging.INFO)
    settings = DashboardSettings(
        redis_url=options.redis_url,
        prefix=options.prefix,
        bull_prefix=options.bull_prefix,
        system=options.system,
        outboxes=_outboxes(options),
        retention=limits_of(max_unread_age=options.max_unread_age, max_length=options.max_length),
        access=AccessSettings(
            operator_token=os.environ.get(OPERATOR_TOKEN_VARIABLE, ""),
            viewer_token=os.environ.get(VIEWER_TOKEN_VARIABLE, ""),
            user_header=options.user_header,
            operators=frozenset(options.operators),
            trusted_proxies=frozenset(options.proxies),
            read_only=options.read_only,
        ),
        masked=frozenset(options.masked),
        sample=options.sample,
        search_limit=options.search_limit,
        trace_url=options.trace_url,
    )
    place = f"[{options.host}]" if ":" in options.host else options.host
    serve(settings, host=options.host, port=options.port, ready=lambda port: terminal.say(f"http://{place}:{port}/"))


def _outboxes(options: UiOptions) -> tuple[Any, ...]:
    """Return the outboxes; one that cannot be opened says why: DATABASE_URL may be set for something else."""
    from domainstream.tools.dashboard.outboxes import UnreadableOutbox

    try:
        from domainstream.tools.dashboard.sql_outbox import SqlOutbox
    except MissingExtraError as error:
        return (UnreadableOutbox(options.table, str(error)),) if options.database_urls else ()
    found: list[SqlOutbox | UnreadableOutbox] = []
    for url in options.database_urls:
        try:
            found.append(SqlOutbox.from_url(url, table=options.table, schema=options.schema))
        except (ConfigurationError, OutboxError) as error:
            found.append(UnreadableOutbox(f"{options.table} ({len(found) + 1})", str(error)))
    return tuple(found)
