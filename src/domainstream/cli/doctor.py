"""`domainstream doctor`."""

from collections.abc import Sequence
from typing import Final

import click

from domainstream.cli.common import exit_codes as exits
from domainstream.cli.common.formatting import plural
from domainstream.cli.common.redis_server import RedisServer
from domainstream.cli.common.server_command import server_command
from domainstream.cli.common.terminal import Terminal
from domainstream.errors import ServerRefusedError
from domainstream.stream.dead_letters.inspection import RedisDeadLetterInspection
from domainstream.stream.inspection.commands import ROLES, RedisCommandProbe
from domainstream.stream.inspection.groups import RedisGroupInspection
from domainstream.stream.inspection.server import RedisServerInspection
from domainstream.tools.doctor.finding import Finding, warning
from domainstream.tools.doctor.server_checks import ability_findings, clock_finding, server_findings
from domainstream.tools.doctor.stream_checks import group_findings, letter_findings, stream_findings

COLORS: Final = {"ok": "green", "warning": "yellow", "problem": "red"}


@click.command()
@click.option("--group", help="Every channel must be read by this group.")
@click.option(
    "--role", "roles", type=click.Choice(ROLES), multiple=True, help="What the user is to be; all of them by default."
)
@server_command
async def doctor(server: RedisServer, terminal: Terminal, *, group: str | None, roles: Sequence[str]) -> int:
    """Find what is wrong with the server and its streams; each finding comes with what to type.

    Looks at version, eviction, memory, persistence, clocks, the user's permissions, groups and dead letters. What a
    server can do is found out by trying, which changes nothing.

    Exit code 1: there is a problem; warnings alone are 0.
    """
    findings = [*await _of_server(server, roles or ROLES), *await _of_streams(server, group)]
    for finding in findings:
        _show(terminal, finding)
    counts = {status: sum(finding.status == status for finding in findings) for status in COLORS}
    terminal.say(f"{plural(counts['problem'], 'problem')}, {plural(counts['warning'], 'warning')} at {server.place}")
    return exits.FAILED if counts["problem"] else exits.OK


async def _of_server(server: RedisServer, roles: Sequence[str]) -> list[Finding]:
    inspection = RedisServerInspection(server.client)
    user = inspection.user
    abilities = await RedisCommandProbe(server.client, prefix=server.prefix).probe(roles)
    found = [*server_findings(await inspection.facts(), user=user)]
    if "time" not in abilities.forbidden:
        found.append(clock_finding(await inspection.clock_ahead_ms()))
    return [*found, *ability_findings(abilities, user=user, roles=roles)]


async def _of_streams(server: RedisServer, group: str | None) -> list[Finding]:
    try:
        return await _all_of_streams(server, group)
    except ServerRefusedError as error:
        words = f"streams and groups could not be looked at: {error}"
        return [warning("streams", words, "domainstream doctor --redis-url <the URL of a user who may look>")]


async def _all_of_streams(server: RedisServer, group: str | None) -> list[Finding]:
    groups = RedisGroupInspection(server.client, prefix=server.prefix)
    letters = RedisDeadLetterInspection(server.client, prefix=server.prefix)
    streams = [stream for name in await server.streams.channels() if (stream := await server.streams.stream(name))]
    states = [state for stream in streams for state in await groups.groups(stream.channel)]
    dead = [state for name in await letters.channels() if (state := await letters.state(name))]
    return [
        *stream_findings(streams, now_ms=await server.streams.now_ms()),
        *group_findings(streams, states, wanted=group, prefix=server.prefix),
        *letter_findings(dead),
    ]


def _show(terminal: Terminal, finding: Finding) -> None:
    mend = f"\n{'':9}type: {finding.mend}" if finding.mend else ""
    terminal.line(finding, f"{finding.status:9}{finding.check}: {finding.words}{mend}", color=COLORS[finding.status])
