"""`domainstream doctor`."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final

import click

from domainstream.cli.common import exit_codes as exits
from domainstream.cli.common.command import BullPrefix, DatabaseUrl, SchemaName, TableName, option
from domainstream.cli.common.durations import Duration
from domainstream.cli.common.server_command import RedisServer, server_command
from domainstream.cli.common.terminal import Terminal
from domainstream.errors import MissingExtraError
from domainstream.stream.inspection.commands import ROLES
from domainstream.tools.common.formatting import plural
from domainstream.tools.doctor.diagnosis import DiagnosisSettings, diagnose
from domainstream.tools.doctor.finding import Finding, ok

COLORS: Final = {"ok": "green", "warning": "yellow", "problem": "red"}
INDENT: Final = " " * 9


@dataclass(frozen=True, kw_only=True, slots=True)
class DoctorOptions:
    """The options of `doctor`."""

    group: Annotated[str | None, option("--group", help="Require every channel to be read by this group.")]
    """The group that must read every channel; None for any group."""

    role: Annotated[
        tuple[str, ...],
        option(
            "--role", type=click.Choice(ROLES), multiple=True, help="What the user is used for; default: all roles."
        ),
    ]
    """The roles whose permissions are checked; empty for all."""

    max_oldest: Annotated[
        timedelta,
        option(
            "--max-oldest",
            type=Duration(),
            default="5m",
            show_default=True,
            help="Warn about groups whose oldest unread or pending entry is older, or an outbox whose oldest event is.",
        ),
    ]
    """How old the oldest entry that a group has not settled, or the oldest event of an outbox, may be."""

    system: Annotated[
        Path | None,
        option(
            "--system",
            type=click.Path(exists=True, file_okay=False, path_type=Path),
            help="Compare partitions with the code in this folder, which is not imported.",
        ),
    ]
    """The folder of the system whose code says how many partitions channels have; None to compare with none."""

    bull_prefix: BullPrefix
    """The prefix of all BullMQ keys."""

    database_url: DatabaseUrl
    """The database whose outbox is checked; None to check none."""

    table: TableName
    """The table of the outbox."""

    schema: SchemaName
    """The table's schema; None for the default one."""


@server_command(DoctorOptions)
async def doctor(server: RedisServer, terminal: Terminal, options: DoctorOptions) -> int:
    """Diagnose a server, its streams and its queues, with a fix for each finding.

    Checks version, eviction, memory, persistence, clocks, the user's permissions, groups, dead letters and jobs.
    Commands are probed without changing anything. The fixes are printed, not run. With a database it also checks the
    backlog, the relay and the held channels of the outbox; with a system, whether it has the server's partitions.

    Exit code 1: there is a problem; warnings alone exit with 0.
    """
    settings = DiagnosisSettings(
        bull_prefix=options.bull_prefix,
        group=options.group,
        roles=options.role or ROLES,
        limit_ms=_limit_ms(options),
        partitions=_numbers_in(options.system) if options.system else {},
    )
    findings = [*await diagnose(server, settings), *await _outbox_findings(options)]
    for finding in findings:
        fix = f"\n{INDENT}Fix: {finding.fix}" if finding.fix else ""
        check = f"{finding.check} at {finding.node}" if finding.node else finding.check
        text = terminal.wrapped(f"{finding.status:9}{check}: {finding.words}", indent=INDENT)
        terminal.line(finding, f"{text}{fix}", color=COLORS[finding.status])
    counts = {status: sum(finding.status == status for finding in findings) for status in COLORS}
    terminal.say(f"{plural(counts['problem'], 'problem')}, {plural(counts['warning'], 'warning')} at {server.place}")
    return exits.FAILED if counts["problem"] else exits.OK


async def _outbox_findings(options: DoctorOptions) -> list[Finding]:
    if not options.database_url:
        return []
    try:
        from domainstream.tools.doctor.outbox_checks import inspect_outbox
    except MissingExtraError as error:
        return [ok("outbox", f"doctor did not look for an outbox: {error}")]

    return await inspect_outbox(
        options.database_url, table=options.table, schema=options.schema, limit_ms=_limit_ms(options)
    )


def _limit_ms(options: DoctorOptions) -> int:
    return round(options.max_oldest.total_seconds() * 1000)


def _numbers_in(system: Path) -> dict[str, int]:
    """Return over how many streams the code spreads each channel, by its value."""
    from domainstream.tools.check.project import read_project
    from domainstream.tools.check.settings import system_at

    numbers = read_project(system_at(system)).partitions
    return {channel: number for channel, number in numbers.items() if number is not None}
