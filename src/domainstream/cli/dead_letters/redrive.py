"""`domainstream dead-letters redrive`."""

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
from domainstream.errors import ServerError
from domainstream.stream import RedisDeadLetterRedrive
from domainstream.stream.state import id_order


class RedriveOutcome(Struct, frozen=True, kw_only=True):
    """What became of letters that were to go back."""

    channel: str
    """The channel's value."""

    entry_ids: list[str]
    """The new entries."""

    without_data: list[str]
    """Letters that stay, since their entry had no field `data`."""

    gone: list[str]
    """Letters that were not there (any more)."""


@click.command()
@click.argument("channel")
@click.argument("dead_letter_ids", nargs=-1, metavar="[LETTER_ID]...", type=LetterId())
@click.option("--all", "every", is_flag=True, help="All letters that the channel has now.")
@yes_option
@server_command
async def redrive(
    server: RedisServer, terminal: Terminal, *, channel: str, dead_letter_ids: Sequence[str], every: bool, yes: bool
) -> int:
    """Put letters back at the end of their stream, once the cause is mended.

    Every group of the stream gets the new entries, also those that had no trouble with the old ones. Letters that are
    buried while this runs stay. Exit code 5: some did not go back.
    """
    require_choice(dead_letter_ids, every=every)
    state = await state_of(server, channel)
    if state is None:
        terminal.say(f"{channel} has no dead letters.")
        return exits.OK if every else exits.NOT_FOUND
    wanted = await _ids_until(server, channel, state.last_id) if every else list(dict.fromkeys(dead_letter_ids))
    ask(f"Put {plural(len(wanted), 'letter')} back into {channel} at {server.place}?", yes=yes)
    outcome = RedriveOutcome(channel=channel, entry_ids=[], without_data=[], gone=[])
    try:
        await _redrive(server, wanted, outcome)
    except ServerError as error:
        if not outcome.entry_ids:
            raise
        terminal.warn(f"{error}; to go on, type the same again")
    if not every and outcome.gone == wanted:
        raise letter_not_found(server, channel, ", ".join(wanted[:3]))
    _tell(terminal, outcome)
    return exits.OK if len(outcome.entry_ids) == len(wanted) else exits.PARTIAL


async def _ids_until(server: RedisServer, channel: str, last_id: str) -> list[str]:
    """Return which letters there are now: what comes back as a letter while we work must not go round for ever."""
    ids = [letter.dead_letter_id async for letter in inspection_of(server).dead_letters(channel)]
    return [dead_letter_id for dead_letter_id in ids if id_order(dead_letter_id) <= id_order(last_id)]


async def _redrive(server: RedisServer, dead_letter_ids: Sequence[str], outcome: RedriveOutcome) -> None:
    """Put letters back one by one; `outcome` is kept up to date, also by an error."""
    letters = RedisDeadLetterRedrive(server.client, prefix=server.prefix)
    for dead_letter_id in dead_letter_ids:
        redriven = await letters.redrive(outcome.channel, dead_letter_id=dead_letter_id)
        outcome.entry_ids.extend(redriven.entry_ids)
        outcome.without_data.extend(redriven.without_data)
        if not redriven.entry_ids and not redriven.without_data:
            outcome.gone.append(dead_letter_id)


def _tell(terminal: Terminal, outcome: RedriveOutcome) -> None:
    terminal.line(outcome, f"{plural(len(outcome.entry_ids), 'letter')} put back into {outcome.channel}")
    if outcome.without_data:
        terminal.warn(
            f"{plural(len(outcome.without_data), 'letter')} stayed: without the field `data` there is nothing to put "
            f"back. To throw them away, type: domainstream dead-letters purge {outcome.channel} "
            f"{' '.join(outcome.without_data[:3])}{' ...' if len(outcome.without_data) > 3 else ''}"
        )
    if outcome.gone:
        terminal.warn(f"{plural(len(outcome.gone), 'letter')} not there any more: {', '.join(outcome.gone[:3])}")
