"""`domainstream dead-letters purge`."""

from collections.abc import Sequence

import click
from msgspec import Struct

from domainstream.cli.common import exit_codes as exits
from domainstream.cli.common.confirm import ask
from domainstream.cli.common.formatting import plural
from domainstream.cli.common.options import yes_option
from domainstream.cli.common.redis_server import RedisServer
from domainstream.cli.common.server_command import server_command
from domainstream.cli.common.terminal import Terminal
from domainstream.cli.dead_letters.letters import (
    LetterId,
    inspection_of,
    letter_not_found,
    require_choice,
    state_of,
)


class PurgeOutcome(Struct, frozen=True, kw_only=True):
    """What became of letters that were to be thrown away."""

    channel: str
    """The channel's value."""

    purged: int
    """How many are gone."""


@click.command()
@click.argument("channel")
@click.argument("dead_letter_ids", nargs=-1, metavar="[LETTER_ID]...", type=LetterId())
@click.option("--all", "every", is_flag=True, help="All letters that the channel has now.")
@yes_option
@server_command
async def purge(
    server: RedisServer, terminal: Terminal, *, channel: str, dead_letter_ids: Sequence[str], every: bool, yes: bool
) -> int:
    """Throw dead letters away, for good.

    Letters that are buried while this asks stay. Exit code 5: some letters were not there.
    """
    require_choice(dead_letter_ids, every=every)
    state = await state_of(server, channel)
    if state is None:
        terminal.say(f"{channel} has no dead letters.")
        return exits.OK if every else exits.NOT_FOUND
    wanted = list(dict.fromkeys(dead_letter_ids))
    count = state.letters if every else len(wanted)
    ask(f"Throw {plural(count, 'letter')} of {channel} at {server.place} away, for good?", yes=yes)
    letters = inspection_of(server)
    purged = await letters.purge_until(channel, state.last_id) if every else await letters.purge(channel, wanted)
    if not every and not purged:
        raise letter_not_found(server, channel, ", ".join(wanted[:3]))
    outcome = PurgeOutcome(channel=channel, purged=purged)
    terminal.line(outcome, f"{plural(purged, 'letter')} of {channel} thrown away")
    if every or purged == len(wanted):
        return exits.OK
    terminal.warn(f"{plural(len(wanted) - purged, 'letter')} not there any more")
    return exits.PARTIAL
