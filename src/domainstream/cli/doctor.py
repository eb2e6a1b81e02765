"""`domainstream doctor`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final

import click

from domainstream.cli.common import exit_codes as exits
from domainstream.cli.common.command import option
from domainstream.cli.common.server_command import RedisServer, server_command
from domainstream.cli.common.terminal import Terminal
from domainstream.errors import ServerRefusedError
from domainstream.stream.inspection.commands import ROLES, RedisCommandProbe
from domainstream.stream.inspection.server import RedisServerInspection
from domainstream.tools.common.formatting import plural
from domainstream.tools.doctor import (
    Finding,
    ability_findings,
    clock_finding,
    dead_letter_findings,
    group_findings,
    server_findings,
    stream_findings,
    warning,
)

COLORS: Final = {"ok": "green", "warning": "yellow", "problem": "red"}


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


@server_command(DoctorOptions)
async def doctor(server: RedisServer, terminal: Terminal, options: DoctorOptions) -> int:
    """Diagnose a server and its streams, with a fix for each finding.

    Checks version, eviction, memory, persistence, clocks, the user's permissions, groups and dead letters. Commands are
    probed without changing anything. The fixes are printed, not run.

    Exit code 1: there is a problem; warnings alone exit with 0.
    """
    findings = [
        *await _server_findings(server, options.role or ROLES),
        *await _stream_findings(server, options.group),
    ]
    for finding in findings:
        fix = f"\n{'':9}Fix: {finding.fix}" if finding.fix else ""
        text = f"{finding.status:9}{finding.check}: {finding.words}{fix}"
        terminal.line(finding, text, color=COLORS[finding.status])
    counts = {status: sum(finding.status == status for finding in findings) for status in COLORS}
    terminal.say(f"{plural(counts['problem'], 'problem')}, {plural(counts['warning'], 'warning')} at {server.place}")
    return exits.FAILED if counts["problem"] else exits.OK


async def _server_findings(server: RedisServer, roles: Sequence[str]) -> list[Finding]:
    inspection = RedisServerInspection(server.client)
    user = inspection.user
    abilities = await RedisCommandProbe(server.client, prefix=server.prefix).probe(roles)
    findings = [*server_findings(await inspection.facts(), user=user)]
    if "time" not in abilities.forbidden:
        findings.append(clock_finding(await inspection.clock_ahead_ms()))
    return [*findings, *ability_findings(abilities, user=user, roles=roles)]


async def _stream_findings(server: RedisServer, group: str | None) -> list[Finding]:
    dead_letters = server.dead_letters
    try:
        streams = [stream for name in await server.streams.channels() if (stream := await server.streams.stream(name))]
        group_states = [state for stream in streams for state in await server.groups.groups(stream.channel)]
        dead_states = [state for name in await dead_letters.channels() if (state := await dead_letters.state(name))]
        now = await server.streams.now_ms()
    except ServerRefusedError as error:
        words = f"streams and groups could not be read: {error}"
        return [warning("streams", words, "domainstream doctor --redis-url <the URL of a user who may read them>")]
    return [
        *stream_findings(streams, now_ms=now),
        *group_findings(streams, group_states, wanted=group, prefix=server.prefix),
        *dead_letter_findings(dead_states),
    ]
